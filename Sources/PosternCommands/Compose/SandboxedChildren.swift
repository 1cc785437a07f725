import CPosternSandbox
import PosternConnector
import PosternPolicy
import PosternSandbox
import PosternWorker
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The stdio servers of a connector's routes, each in a sandbox of its own: no network, a user of its own where this process is root, and of the
/// host's files only what the route names.
final class SandboxedChildren: ChildLauncher {
    private let spawner: Spawner
    private let scratch: ScratchFolder
    private let rules: Mutex<Rules>
    /// Starts so far. Routes number their sessions by themselves, and over a reload two of one name may be there.
    private let starts = Atomic(0)

    /// What follows from which files are the connector's own.
    private struct Rules: Sendable {
        let driver: BubblewrapDriver
        let denials: MandatoryDenials

        init(_ spawner: Spawner, own: [String]) throws(SandboxError) {
            let own = own.flatMap { [TextFile.absolute($0), TextFile.resolved($0)] }
            driver = try BubblewrapDriver(spawner: spawner, denied: own)
            denials = MandatoryDenials(own: own)
        }
    }

    /// How long a server may take to end by itself once its input is closed (lifecycle, "Shutdown").
    private static let grace = Duration.seconds(2)

    /// - Parameter own: files of the connector that no sandbox is shown.
    init(own: [String]) async throws(CommandError) {
        scratch = try ScratchFolder("postern-connector")
        do {
            spawner = try await Spawner.launch()
            rules = Mutex(try Rules(spawner, own: own))
        } catch {
            scratch.remove()
            throw CommandError(.sandboxFailed, "routes with \"command\" need the sandbox: \(error.message)")
        }
    }

    /// Other files are the connector's own from now on: for servers that start.
    func keep(from own: [String]) throws(CommandError) {
        do throws(SandboxError) {
            let new = try Rules(spawner, own: own)
            rules.withLock { $0 = new }
        } catch {
            throw CommandError(.sandboxFailed, "routes with \"command\" need the sandbox: \(error.message)")
        }
    }

    /// Ends what is left of them.
    func close() async {
        await spawner.close()
        scratch.remove()
    }

    func run(_ order: ChildOrder, _ body: @escaping @Sendable (ChildPipes) async -> Void) async throws(ChildFailure) -> String {
        // Nobody else's, so that what is removed below is this start's own.
        let name = "\(order.route)-\(starts.add(1, ordering: .relaxed).newValue)"
        let folder = "\(scratch.path)/\(name)"
        let rules = rules.withLock { $0 }
        let spec = specification(order, name, folder, rules.denials)
        do throws(SandboxError) {
            let sandbox = try await rules.driver.start(spec)
            let result = await serve(order.settings.command, sandbox, body)
            await sandbox.stop()
            await remove(folder)
            return try result.get()
        } catch {
            await remove(folder)
            throw ChildFailure(error.message)
        }
    }

    private func specification(_ order: ChildOrder, _ name: String, _ folder: String, _ denials: MandatoryDenials) -> SandboxSpec {
        let policy = order.settings.sandbox
        let workspace = order.settings.folder.map { WorkspaceSource.folder(TextFile.resolved($0)) }
        var spec = SandboxSpec(
            sessionID: name, workspace: workspace ?? .managed(directory: folder + "/workspace"),
            toolOutputs: folder + "/outputs")
        spec.limits = policy.sandboxLimits
        spec.environment =
            policy.variables.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
            + order.secrets.map { (name: $0.name, value: $0.value) }
        spec.take(policy, denials, changes: folder + "/changes")
        return spec
    }

    private enum Part: Sendable {
        case ended(Result<String, SandboxError>)
        case bodyDone
        case graceOver
    }

    /// The command with its pipes until it, or `body`, has ended, and the other one has had its time.
    private func serve(
        _ command: [String], _ sandbox: any Sandbox, _ body: @escaping @Sendable (ChildPipes) async -> Void
    ) async -> Result<String, SandboxError> {
        var (input, output, errors): ([Int32], [Int32], [Int32]) = ([-1, -1], [-1, -1], [-1, -1])
        guard psb_pipe(&input) >= 0, psb_pipe(&output) >= 0, psb_pipe(&errors) >= 0 else {
            for descriptor in input + output + errors where descriptor >= 0 { Self.close(descriptor) }
            return .failure(SandboxError(.unavailable, "no descriptors are left for another server"))
        }
        let (theirs, ours) = ([input[0], output[1], errors[1]], ChildPipes(input: input[1], output: output[0], errors: errors[0]))
        return await withTaskGroup(of: Part.self) { group in
            group.addTask {
                let result: Result<String, SandboxError>
                do throws(SandboxError) {
                    let status = try await sandbox.execute(command, stdin: theirs[0], stdout: theirs[1], stderr: theirs[2])
                    result = .success(status.text)
                } catch {
                    result = .failure(error)
                }
                // Copies are the sandbox's; with these the last writer is gone.
                for descriptor in theirs { Self.close(descriptor) }
                return .ended(result)
            }
            group.addTask {
                await body(ours)
                return .bodyDone
            }
            var result: Result<String, SandboxError>?
            var isOver = false
            for await part in group {
                switch part {
                case .ended(let how): result = how
                case .bodyDone: break
                case .graceOver:
                    group.cancelAll()
                    continue
                }
                // The first of them gives the other one its time: the command may have to notice that its input is closed, and something that it has
                // started may hold its output open.
                if isOver { group.cancelAll() } else { group.addTask { await Self.pause() } }
                isOver = true
            }
            return result ?? .failure(SandboxError(.lost, "it was stopped"))
        }
    }

    private static func pause() async -> Part {
        try? await Task.sleep(for: grace)
        return .graceOver
    }

    private func remove(_ folder: String) async {
        for name in ["workspace", "outputs", "changes"] { try? await spawner.removeFolder("\(folder)/\(name)") }
        rmdir(folder)
    }

    private static func close(_ descriptor: Int32) {
        #if canImport(Glibc)
        Glibc.close(descriptor)
        #else
        Darwin.close(descriptor)
        #endif
    }
}

extension ExitStatus {
    fileprivate var text: String {
        switch self {
        case .exited(let code): "exit status \(code)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}
