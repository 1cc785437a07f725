import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The session's bash. It reads its commands from a socket (descriptor 0) and reports each exit status on the same socket, so that
/// nothing a command prints can be taken for the end of it; standard output and error are one pipe. Commands themselves get
/// /dev/null for input, and bash keeps its own copy of the socket close-on-exec, so they never hold it.
struct Shell {
    let pid: pid_t
    let control: Int32
    let output: Int32
    private var unsent: [UInt8] = []
    private var status: [UInt8] = []
    /// The shell has closed its end: nothing is to be watched for any more.
    private(set) var isSilent = false

    static let program = "/bin/bash"

    init(environment: [String], directory: Int32, limits: SandboxLimits) throws(SystemFailure) {
        var sockets: [Int32] = [-1, -1]
        var pipes: [Int32] = [-1, -1]
        guard psb_socket_pair(&sockets) == 0 else { throw SystemFailure("socketpair") }
        guard psb_pipe(&pipes) == 0 else {
            let failure = SystemFailure("pipe")
            for descriptor in sockets { close(descriptor) }
            throw failure
        }
        defer {
            close(sockets[1])
            close(pipes[1])
        }
        do {
            pid = try ProcessStart(
                path: Self.program, arguments: [Self.program, "--noprofile", "--norc"], environment: environment, directory: directory,
                descriptors: [sockets[1], pipes[1], pipes[1]], limits: limits
            ).start()
        } catch {
            close(sockets[0])
            close(pipes[0])
            throw error
        }
        control = sockets[0]
        output = pipes[0]
        for descriptor in [control, output] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        // Out of memory, the kernel is to end what the shell has started rather than process 1, and the sandbox with it.
        unsent.append(contentsOf: "builtin echo 500 2>/dev/null >/proc/self/oom_score_adj\n".utf8)
        flush()
    }

    var hasUnsent: Bool { !unsent.isEmpty }

    /// Gives bash a command, which must not contain a zero byte. `eval` keeps a syntax error from ending the shell, and at the top
    /// level `break` has no loop of ours to leave.
    mutating func run(_ command: String) {
        let quoted = command.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
        unsent.append(contentsOf: "{ eval '\(quoted)\n'; } </dev/null; { builtin printf '%d\\0' \"$?\" >&0; } 2>/dev/null\n".utf8)
        flush()
    }

    mutating func flush() {
        while !unsent.isEmpty {
            let sent = unsent.withUnsafeBytes { psb_send(control, $0.baseAddress, $0.count, nil, 0) }
            guard sent > 0 else { return }
            unsent.removeFirst(sent)
        }
    }

    enum Report: Equatable {
        case nothing
        case finished(status: Int32)
        /// The shell has closed its end.
        case closed
        /// What came is no status.
        case broken
    }

    mutating func receive() -> Report {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = recv(control, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN || errno == EINTR { return .nothing }
        if count <= 0 {
            isSilent = true
            return .closed
        }
        status.append(contentsOf: buffer[..<count])
        guard let end = status.firstIndex(of: 0) else { return status.count > 16 ? .broken : .nothing }
        let text = String(decoding: status[..<end], as: UTF8.self)
        status.removeSubrange(...end)
        guard let value = Int32(text), status.isEmpty else { return .broken }
        return .finished(status: value)
    }

    func closeDescriptors() {
        close(control)
        close(output)
    }
}
