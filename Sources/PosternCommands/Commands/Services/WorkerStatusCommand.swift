import ArgumentParser
import PosternWorker

/// `postern worker status`
struct WorkerStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the sessions that a worker on this machine serves, and what is frozen.",
        discussion: "Example: postern worker status --state-dir /var/lib/postern-worker")

    @OptionGroup var control: WorkerControl

    func run() async throws { try await control.ask(.status) }
}
