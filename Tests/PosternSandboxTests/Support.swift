import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Synchronization

/// The two ways in which a worker can be started. As root both are tried, else only the one that there is.
enum Mode: String, CaseIterable, Sendable, CustomStringConvertible {
    case root, user

    static var possible: [Mode] { geteuid() == 0 ? [.root, .user] : [.user] }

    /// An ordinary user that owns nothing here.
    static let userID: UInt32 = 54_321

    var description: String { rawValue }

    /// A number that tells this mode's processes from those of the other, whose tests run at the same time.
    func seconds(_ base: Int) -> Int { self == .root ? base : base + 1000 }

    var configuration: Spawner.Configuration {
        var configuration = Spawner.Configuration()
        if self == .user, geteuid() == 0 {
            configuration.prefix = ["/usr/bin/setpriv", "--reuid", "\(Self.userID)", "--regid", "\(Self.userID)", "--clear-groups"]
        }
        return configuration
    }
}

/// One spawner for all tests of a mode; it ends with the test process.
enum Spawners {
    private static let root = Task { () throws(SandboxError) -> Spawner in try await Spawner.launch(Mode.root.configuration) }
    private static let user = Task { () throws(SandboxError) -> Spawner in try await Spawner.launch(Mode.user.configuration) }

    static func of(_ mode: Mode) async throws -> Spawner { try await (mode == .root ? root : user).value }
}

/// A folder of one test.
struct Scratch {
    let path: String
    private static let counter = Mutex(0)

    init(_ mode: Mode = Mode.possible[0]) throws {
        let number = Self.counter.withLock { count in
            count += 1
            return count
        }
        let base = "/tmp/postern-sandbox-tests-\(getpid())"
        path = "\(base)/\(number)"
        // Another test may be removing the base at this moment.
        repeat {
            mkdir(base, 0o711)
            chmod(base, 0o711)
        } while mkdir(path, 0o711) < 0 && errno == ENOENT
        chmod(path, 0o711)
        if mode == .user, geteuid() == 0 { chown(path, Mode.userID, Mode.userID) }
    }

    var workspace: String { "\(path)/workspace" }
    var outputs: String { "\(path)/outputs" }

    var spec: SandboxSpec { SandboxSpec(sessionID: "sesn_test", workspace: .managed(directory: workspace), toolOutputs: outputs) }

    func remove(_ spawner: Spawner) async {
        try? await spawner.removeFolder(path)
        // The last one takes the base with it.
        rmdir("/tmp/postern-sandbox-tests-\(getpid())")
    }
}

/// A sandbox for one test.
struct Box {
    let sandbox: RunningSandbox
    let scratch: Scratch
    private static let counter = Mutex(0)

    /// Runs `body` with a fresh sandbox, which is stopped afterwards.
    static func with<Value>(
        _ mode: Mode = Mode.possible[0], change: (inout SandboxSpec, Scratch) throws -> Void = { _, _ in },
        _ body: (Box) async throws -> Value
    ) async throws -> Value {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        var spec = scratch.spec
        try change(&spec, scratch)
        let started = try await BubblewrapDriver(spawner: spawner).start(spec)
        guard let sandbox = started as? RunningSandbox else { throw SandboxError(.lost, "not a running sandbox") }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(Box(sandbox: sandbox, scratch: scratch)))
        } catch {
            result = .failure(error)
        }
        await sandbox.stop()
        await scratch.remove(spawner)
        return try result.get()
    }

    func call(_ name: String, _ input: JSON, id: String? = nil) async throws -> ToolOutcome {
        let number = Self.counter.withLock { count in
            count += 1
            return count
        }
        return try await sandbox.call(ToolInvocation(id: id ?? "sevt_\(number)", name: name, input: input))
    }

    func bash(_ command: String, timeout: Int? = nil) async throws -> ToolOutcome {
        try await call("bash", timeout.map { ["command": .string(command), "timeout_ms": JSON($0)] } ?? ["command": .string(command)])
    }

    /// The text of a bash call.
    func sh(_ command: String) async throws -> String { try await bash(command).text }
}

extension ToolOutcome {
    var text: String { content.first?["text"]?.string ?? "" }
}
