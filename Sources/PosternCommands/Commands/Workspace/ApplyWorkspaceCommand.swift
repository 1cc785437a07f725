import ArgumentParser
import PosternSandbox

/// `postern sandbox workspace apply`
struct ApplyWorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Make a session's changes in the workspace itself.",
        discussion: """
            What is made belongs to the workspace's owner and has no set-id bits; devices, FIFOs and sockets are left out. No link is followed. Links
            that lead out, git hooks and settings of agents are named first and stop the command, unless --accept-findings is given. When all is done,
            the changes are forgotten. Refused while a sandbox of the session's worker has the changes mounted.

            Example: postern sandbox workspace apply --changes /var/lib/postern-worker/changes/sesn_01 ~/project
            """)

    @OptionGroup var changes: WorkspaceChanges

    @Flag(name: .long, help: "Go on although the changes hold something dangerous outside of a sandbox.")
    var acceptFindings = false

    func run() async throws {
        // From here on no session adds to what the scan has seen.
        let lock = try changes.lock()
        let scan = try await WorkspaceCommand.withSpawner { try await $0.scanWorkspace(lock.folder + "/upper") }
        // Marks of what was removed are devices to whoever looks at them from outside; apply leaves real ones out.
        let findings = scan.findings.filter { $0.kind != .device && $0.kind != .unseen }
        if !findings.isEmpty, !acceptFindings {
            let terminal = Terminal()
            for finding in findings {
                terminal.note("\(finding.kind.rawValue)  \(finding.path)\(finding.detail.isEmpty ? "" : "  (\(finding.detail))")")
            }
            throw CommandError(.failure, "nothing was changed: look at the lines above, then give --accept-findings or discard the changes")
        }
        let report = try await changes.perform(.apply, lock)
        changes.show(report, empty: "Nothing is changed.")
        if !report.isComplete { throw CommandStatus.failure.code }
    }
}
