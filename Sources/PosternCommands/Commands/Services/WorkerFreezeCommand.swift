import ArgumentParser
import PosternWorker

/// `postern worker freeze`
struct WorkerFreezeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze", abstract: "Stop every process of a session, an agent, or all of a worker's, where it stands.",
        discussion: """
            Needs no control plane and no key: it speaks to the worker on this machine and is for the worker's user and root. Returns when the last
            process stands still, detached ones too; what cannot be stopped in time is killed. The order stands until it is thawed, also for sessions
            that the worker takes up later and after a restart.

            Example: postern worker freeze all
            """)

    @OptionGroup var target: FreezeTargetArguments
    @OptionGroup var control: WorkerControl

    func run() async throws { try await control.ask(.freeze(target.target())) }
}
