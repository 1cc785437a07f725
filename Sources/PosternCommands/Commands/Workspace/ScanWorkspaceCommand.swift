import ArgumentParser
import PosternSandbox

/// `postern sandbox workspace scan`
struct ScanWorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Name what in a workspace is dangerous to whoever reads it outside of a sandbox.",
        discussion: """
            Links that lead out, set-id files, devices, sockets, FIFOs, git hooks and settings that run programs, settings of agents, editors and
            shells, names with control characters. Nothing is changed. The exit status is 5 when something is found.

            Example: postern sandbox workspace scan /var/lib/postern-worker/sesn_01
            """)

    @Argument(help: "The workspace.")
    var folder: String

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    func run() async throws {
        let folder = TextFile.resolved(folder)
        let report = try await WorkspaceCommand.withSpawner { try await $0.scanWorkspace(folder) }
        let terminal = Terminal()
        if json {
            terminal.print(report.json.indented)
        } else {
            for finding in report.findings {
                terminal.print("\(finding.kind.rawValue)  \(finding.path)\(finding.detail.isEmpty ? "" : "  (\(finding.detail))")")
            }
            let isAll = report.findings.count == report.counts.values.reduce(0, +)
            terminal.print("\(report.entries) files and folders\(isAll ? "" : "; only the first findings are shown")")
            if !report.isComplete { terminal.complain("not all of it could be looked at") }
        }
        if !report.findings.isEmpty || !report.isComplete { throw CommandStatus.checkFailed.code }
    }
}
