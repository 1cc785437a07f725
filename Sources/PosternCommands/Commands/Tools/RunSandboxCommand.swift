import ArgumentParser
import PosternSandbox
import UnixSignals

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern sandbox run`
struct RunSandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run one command in the sandbox that a worker's tools run in.",
        discussion: """
            The folder is /workspace inside and the command starts there; without --workspace it is empty and gone afterwards. There is no network.
            Standard input, output and error pass through, and so does the exit status; 125 means that the sandbox could not be made.

            Example: postern sandbox run --workspace . --env LANG=C.UTF-8 -- bash -c 'id; ls /; ls'
            """)

    @Option(name: .long, help: "Folder that the command works in.")
    var workspace: String?

    @Flag(name: .long, help: "The folder can be read only.")
    var readOnly = false

    @Option(name: .long, help: ArgumentHelp("Variable of the command. May be repeated.", valueName: "name=value"))
    var env: [String] = []

    @Argument(parsing: .postTerminator, help: "The command and its arguments.")
    var command: [String]

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("what is to be run? Write it after --, such as: postern sandbox run -- ls /") }
    }

    func run() async throws {
        var variables: [(name: String, value: String)] = []
        for pair in env {
            guard let mark = pair.firstIndex(of: "="), mark > pair.startIndex else { throw ValidationError("--env must be written NAME=VALUE") }
            variables.append((String(pair[..<mark]), String(pair[pair.index(after: mark)...])))
        }
        do {
            let scratch = try ScratchFolder("postern-sandbox")
            defer { scratch.remove() }
            let spawner = try await Spawner.launch()
            let code = await result { try await execute(spawner, scratch.path, variables) }
            // What the sandbox's own user wrote is the spawner's to remove.
            for name in ["workspace", "outputs"] { try? await spawner.removeFolder(scratch.path + "/" + name) }
            await spawner.close()
            throw ExitCode(try code.get())
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
    }

    private func result<Value: Sendable>(_ body: () async throws -> Value) async -> Result<Value, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    private func execute(_ spawner: Spawner, _ scratch: String, _ variables: [(name: String, value: String)]) async throws -> Int32 {
        let source: WorkspaceSource =
            workspace.map { .folder(TextFile.resolved($0)) } ?? .managed(directory: scratch + "/workspace")
        var spec = SandboxSpec(sessionID: "sandbox-run", workspace: source, toolOutputs: scratch + "/outputs", environment: variables)
        spec.isWorkspaceReadOnly = readOnly
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(spec)
        let code = await result { try await untilSignalled { try await sandbox.execute(command, stdin: 0, stdout: 1, stderr: 2).shellCode } }
        await sandbox.stop()
        return try code.get()
    }

    /// Ctrl-C and SIGTERM kill what runs inside; the status is then that of the signal.
    private func untilSignalled(_ body: @escaping @Sendable () async throws -> Int32) async throws -> Int32 {
        try await withThrowingTaskGroup(of: Int32?.self) { group in
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
            group.addTask { try await body() }
            group.addTask {
                for await signal in signals { return 128 + signal.rawValue }
                return nil
            }
            defer { group.cancelAll() }
            while let status = try await group.next() { if let status { return status } }
            return CommandStatus.interrupted.rawValue
        }
    }
}
