import ArgumentParser
import PosternWorker

/// `postern worker thaw`
struct WorkerThawCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw", abstract: "Let what was frozen run again.",
        discussion: """
            Takes back the order for exactly what is named; a wider order goes on. "all" takes back every order. The time of calls that were running
            has gone on: they may time out at once.

            Example: postern worker thaw session sesn_01
            """)

    @OptionGroup var target: FreezeTargetArguments
    @OptionGroup var control: WorkerControl

    func run() async throws { try await control.ask(.thaw(target.target())) }
}
