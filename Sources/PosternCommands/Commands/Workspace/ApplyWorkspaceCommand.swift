import ArgumentParser
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

/// `postern sandbox workspace apply`
struct ApplyWorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Make a session's changes in the workspace itself.",
        discussion: """
            What is made belongs to the workspace's owner and has no set-id bits; devices, FIFOs and sockets are left out. No link is followed. Links
            that lead out, git hooks and settings of agents are named first and stop the command, as does what could not be looked at, unless
            --accept-findings is given. All that is new is made beside the workspace's files first, in the folder .postern-apply-NUMBER of the
            workspace, and moved at last: without room for it, or above --max-disk, nothing is changed. Holes of files stay holes. When all is done, the
            changes are forgotten. Refused while a sandbox of the session's worker has the changes mounted.

            Example: postern sandbox workspace apply --changes /var/lib/postern-worker/changes/sesn_01 ~/project
            """)

    @OptionGroup var changes: WorkspaceChanges

    @Flag(name: .long, help: "Go on although the changes hold something dangerous outside of a sandbox, or could not all be looked at.")
    var acceptFindings = false

    @Option(
        name: .long, help: "What the changes may take on the disk, such as 500MiB; by default the profile strict's limit of a workspace.",
        transform: ApplyWorkspaceCommand.bytes)
    var maxDisk = 10 << 30

    func run() async throws {
        let report = try await changes.perform(ChangesOrder(.apply, acceptsFindings: acceptFindings, mostBytes: maxDisk), changes.lock())
        guard let refusal = report.refusal else {
            changes.show(report, empty: "Nothing is changed.")
            if !report.isComplete { throw CommandStatus.failure.code }
            return
        }
        let terminal = Terminal()
        if changes.json { terminal.print(report.json.indented) } else { tell(report, terminal) }
        throw CommandError(.failure, "nothing was changed: \(refusal.detail): \(Self.remedy(refusal.kind))")
    }

    private func tell(_ report: ChangesReport, _ terminal: Terminal) {
        for finding in report.scan?.findings ?? [] where finding.kind != .device {
            terminal.note("\(finding.kind.rawValue)  \(finding.path)\(finding.detail.isEmpty ? "" : "  (\(finding.detail))")")
        }
        for entry in report.entries { terminal.note("\(entry.change.rawValue)  \(entry.path)  (\(entry.detail))") }
    }

    private static func remedy(_ kind: ChangesReport.Refusal.Kind) -> String {
        switch kind {
        case .findings: "look at the lines above, then give --accept-findings or discard the changes"
        case .failed: "see to what the lines above say, then try again, or discard the changes"
        case .room: "make room and try again, or discard the changes"
        case .bound: "give a larger --max-disk, or discard the changes"
        }
    }

    private static func bytes(_ text: String) throws -> Int {
        guard let number = Quantity.bytes(text), number > 0 else {
            throw ValidationError("'\(text)' must be a size above 0, such as 500MiB or 10GiB")
        }
        return number
    }
}
