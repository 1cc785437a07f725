import ArgumentParser
import PosternWorker

/// `postern worker approvals`
struct WorkerApprovalsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approvals", abstract: "Show the calls of a worker on this machine that wait for an answer.",
        discussion: "Example: postern worker approvals --state-dir /var/lib/postern-worker")

    @OptionGroup var control: WorkerControl

    func run() async throws { try await control.ask(.questions) }
}
