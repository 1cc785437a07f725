import ArgumentParser
import PosternSandbox

/// `postern sandbox workspace discard`
struct DiscardWorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard", abstract: "Forget what a session has changed.",
        discussion: """
            The workspace itself is as it was. Refused while a sandbox of the session's worker has the changes mounted.

            Example: postern sandbox workspace discard --changes /var/lib/postern-worker/changes/sesn_01 ~/project
            """)

    @OptionGroup var changes: WorkspaceChanges

    func run() async throws {
        let report = try await changes.perform(ChangesOrder(.discard), changes.lock())
        changes.show(report, empty: "The changes are gone.")
        if !report.isComplete { throw CommandStatus.failure.code }
    }
}
