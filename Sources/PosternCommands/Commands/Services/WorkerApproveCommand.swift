import ArgumentParser
import PosternWorker

/// `postern worker approve`
struct WorkerApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Let a call run that waits for an answer.",
        discussion: """
            Only a policy's `tools.ask` and budgets ask, and only somebody on the worker's own machine (its user or root) can answer: the control
            plane cannot.

            Example: postern worker approve sevt_01
            """)

    @Argument(help: "The question's id, as `postern worker approvals` shows it.")
    var id: String

    @OptionGroup var control: WorkerControl

    func run() async throws { try await control.ask(.answer(id: id, isAllowed: true)) }
}
