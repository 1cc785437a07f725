import CPosternSandbox
import NIOPosix
import PosternMCP
import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An MCP server that this process has started, in a session of its own; its standard error is this process's.
struct StdioServer: Sendable {
    private let pid: pid_t
    /// What the server writes, to be read; whoever takes it closes it.
    let output: Int32
    /// What the server reads, to be written; whoever takes it closes it.
    let input: Int32

    /// How long the server may take to end by itself once its input is closed, and after SIGTERM (lifecycle, "Shutdown").
    private static let grace = Duration.seconds(2)

    /// - Parameter variables: `NAME=value` each; it gets no others.
    init(command: [String], variables: [String]) throws(MCPError) {
        guard let program = command.first else { throw .refused("there is no command") }
        let path = try Self.path(of: program)
        var toServer: [Int32] = [-1, -1]
        var fromServer: [Int32] = [-1, -1]
        guard psb_pipe(&toServer) >= 0, psb_pipe(&fromServer) >= 0 else {
            for descriptor in toServer + fromServer where descriptor >= 0 { close(descriptor) }
            throw .unreachable("a pipe cannot be made: \(String(cString: strerror(errno)))")
        }
        var start = ProgramStart(command, path: path, descriptors: [toServer[0], fromServer[1], STDERR_FILENO])
        start.environment = variables
        start.hasOwnSession = true
        let started = start.start()
        close(toServer[0])
        close(fromServer[1])
        guard started > 0 else {
            close(toServer[1])
            close(fromServer[0])
            throw .unreachable("\(program) cannot be started: \(String(cString: strerror(-started)))")
        }
        pid = started
        output = fromServer[0]
        input = toServer[1]
    }

    /// Waits until the server has ended, now that its input is closed; SIGTERM and then SIGKILL go to all of its session that is left. It is done
    /// in full even where the task is cancelled. How it ended.
    func stop() async -> String { await Task { await self.end() }.value }

    private func end() async -> String {
        let pid = pid
        await withTaskGroup(of: Bool.self) { group in
            // On a thread of its own: it blocks.
            group.addTask { (try? await NIOThreadPool.singleton.runIfActive { Self.waitForEnd(pid) }) ?? true }
            group.addTask {
                for signal in [SIGTERM, SIGKILL] {
                    do { try await Task.sleep(for: Self.grace) } catch { return false }
                    kill(-pid, signal)
                }
                return false
            }
            for await hasEnded in group where hasEnded { group.cancelAll() }
        }
        // It is not reaped yet: its number is still its own, and its group's.
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
    }

    /// Blocks. The process stays to be reaped.
    private static func waitForEnd(_ pid: pid_t) -> Bool {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        return true
    }

    /// What a server needs to run at all, and what the operator passes on: no token of this process gets into it by itself.
    static func variables(passing names: [String]) -> [String] {
        let current = ProcessEnvironment.current
        return (["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER"] + names).compactMap { name in current[name].map { "\(name)=\($0)" } }
    }

    private static func path(of program: String) throws(MCPError) -> String {
        if program.contains("/") { return program }
        for folder in (ProcessEnvironment.current["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":") {
            let path = "\(folder)/\(program)"
            if access(path, X_OK) == 0 { return path }
        }
        throw .unreachable("\(program) is in no folder of PATH")
    }
}
