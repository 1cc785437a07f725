import ArgumentParser
import PosternSandbox

/// `postern sandbox workspace`
struct WorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workspace", abstract: "Look at what sessions have left: changes to copy-on-write workspaces, and dangers in any.",
        discussion: "Example: postern sandbox workspace diff --changes /var/lib/postern-worker/changes/sesn_01 ~/project",
        subcommands: [DiffWorkspaceCommand.self, ApplyWorkspaceCommand.self, DiscardWorkspaceCommand.self, ScanWorkspaceCommand.self])
}

/// The flags of commands on the changes of a copy-on-write workspace.
struct WorkspaceChanges: ParsableArguments {
    @Option(name: .long, help: "Folder in which the session's changes are kept: changes/SESSION in the worker's state folder.")
    var changes: String

    @Argument(help: "The workspace itself.")
    var folder: String

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    /// Keeps sandboxes off the changes for the run of a command.
    func lock() throws -> ChangesLock {
        do {
            return try ChangesLock(TextFile.resolved(changes))
        } catch {
            throw CommandError(.failure, error.message)
        }
    }

    func perform(_ order: ChangesOrder, _ lock: ChangesLock) async throws -> ChangesReport {
        let folder = TextFile.resolved(folder)
        return try await WorkspaceCommand.withSpawner { spawner in try await spawner.changes(order, in: lock, of: folder) }
    }

    func show(_ report: ChangesReport, empty: String) {
        let terminal = Terminal()
        if json { return terminal.print(report.json.indented) }
        for entry in report.entries {
            let size = entry.bytes > 0 ? "  \(ByteText.of(entry.bytes))" : ""
            terminal.print("\(entry.change.rawValue)  \(entry.path)\(size)\(entry.detail.isEmpty ? "" : "  (\(entry.detail))")")
        }
        if report.entries.isEmpty { terminal.print(empty) }
        if !report.isComplete { terminal.complain("not everything could be read or done: see the lines that begin with 'failed'") }
    }
}

extension WorkspaceCommand {
    /// Runs `body` with a spawner, which alone may touch what belongs to sessions.
    static func withSpawner<Value: Sendable>(_ body: (Spawner) async throws -> Value) async throws -> Value {
        do {
            let spawner = try await Spawner.launch()
            do {
                let value = try await body(spawner)
                await spawner.close()
                return value
            } catch {
                await spawner.close()
                throw error
            }
        } catch let error as SandboxError {
            throw CommandError(.failure, error.message)
        }
    }
}
