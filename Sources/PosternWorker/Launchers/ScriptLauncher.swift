import ManagedAgentsClient
import PosternSandbox
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What all items of a worker with a launcher share.
final class ScriptLauncher: Sendable {
    let configuration: LauncherConfiguration
    /// Failures in a row, by session.
    private let failures = Mutex<[String: Int]>([:])
    private static let mostSessions = 4_096

    init(_ configuration: LauncherConfiguration) { self.configuration = configuration }

    /// Why the script cannot be run; `nil` if it can. Blocks; for start-up.
    static func refusal(_ script: String) -> String? {
        var status = stat()
        guard script.hasPrefix("/") else { return "the launcher '\(script)' must be an absolute path" }
        guard stat(script, &status) == 0 else { return "the launcher '\(script)': \(String(cString: strerror(errno)))" }
        guard status.st_mode & S_IFMT == S_IFREG, access(script, X_OK) == 0 else {
            return "the launcher '\(script)' must be a file that may be executed: chmod +x '\(script)'"
        }
        return nil
    }

    func failures(of session: String) -> Int { failures.withLock { $0[session] ?? 0 } }

    func succeeded(_ session: String) { failures.withLock { _ = $0.removeValue(forKey: session) } }

    func failed(_ session: String) {
        failures.withLock { failures in
            if failures.count >= Self.mostSessions, failures[session] == nil { failures.removeAll() }
            failures[session, default: 0] += 1
        }
    }
}

/// The driver of a worker that starts no sandbox because a launcher does the work elsewhere.
package struct LauncherDriver: SandboxDriver {
    package let name = "launcher"

    package init() {}

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        throw SandboxError(.unavailable, "this worker hands its sessions to a launcher and starts no sandbox")
    }
}
