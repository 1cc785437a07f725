import ArgumentParser
import PosternSandbox

/// `postern sandbox workspace diff`
struct DiffWorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what a session has changed, and change nothing.",
        discussion: """
            A line for each file, folder and link that is not as it was. Refused while a sandbox of the session's worker has the changes mounted.

            Example: postern sandbox workspace diff --changes /var/lib/postern-worker/changes/sesn_01 ~/project
            """)

    @OptionGroup var changes: WorkspaceChanges

    func run() async throws {
        let report = try await changes.perform(ChangesOrder(.diff), changes.lock())
        changes.show(report, empty: "Nothing is changed.")
        if !report.isComplete { throw CommandStatus.failure.code }
    }
}
