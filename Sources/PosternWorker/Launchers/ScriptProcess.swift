import CPosternSandbox
import PosternSandbox
// Dispatch sources may be used from any thread; on Linux the overlay does not say so.
@preconcurrency import Dispatch
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// One run of a launcher script: started in a session of its own, its input a file in memory, its output given on line by line. Nothing here
/// blocks a thread of the cooperative pool: ends and output are events of dispatch sources.
final class ScriptProcess: Sendable {
    let pid: pid_t
    private let tree: ProcessTree
    /// What was stopped and has not gone on since.
    private let stopped = Mutex<Set<pid_t>>([])
    private let leader: Leader
    private let reader: OutputReader
    private let end: any DispatchSourceRead

    private static let queue = DispatchQueue(label: "postern.launcher", attributes: .concurrent)

    /// Starts it. `onLine` gets each line of output, `onEnd` is called once, after the last line.
    /// Returns what failed instead of a process.
    static func start(
        _ path: String, input: [UInt8], variables: [String], mark: String, onLine: @escaping @Sendable (String) -> Void,
        onEnd: @escaping @Sendable (LauncherMachine.ScriptEnd) -> Void
    ) async -> Result<ScriptProcess, StartFailure> {
        await withCheckedContinuation { done in
            queue.async {
                do throws(StartFailure) {
                    done.resume(returning: .success(try ScriptProcess(path, input, variables, mark, onLine, onEnd)))
                } catch {
                    done.resume(returning: .failure(error))
                }
            }
        }
    }

    struct StartFailure: Error {
        var reason: String
        init(reason: String) { self.reason = reason }
        init(_ what: String, _ code: Int32) { reason = "\(what): \(String(cString: strerror(code)))" }
    }

    private init(
        _ path: String, _ input: [UInt8], _ variables: [String], _ mark: String, _ onLine: @escaping @Sendable (String) -> Void,
        _ onEnd: @escaping @Sendable (LauncherMachine.ScriptEnd) -> Void
    ) throws(StartFailure) {
        let stdin = psb_memory_file("postern-work")
        guard stdin >= 0 else { throw StartFailure("the input cannot be made", -stdin) }
        defer { close(stdin) }
        var written = 0
        while written < input.count {
            let count = input[written...].withUnsafeBytes { write(stdin, $0.baseAddress, $0.count) }
            guard count > 0 else { throw StartFailure("the input cannot be written", errno) }
            written += count
        }
        guard lseek(stdin, 0, SEEK_SET) == 0 else { throw StartFailure("the input cannot be written", errno) }
        var pipe: [Int32] = [-1, -1]
        let error = psb_pipe(&pipe)
        guard error >= 0 else { throw StartFailure("a pipe cannot be made", -error) }
        var program = ProgramStart([path], descriptors: [stdin, pipe[1], pipe[1]])
        program.environment = variables
        program.hasOwnSession = true
        let started = program.start()
        close(pipe[1])
        guard started > 0 else {
            close(pipe[0])
            throw StartFailure("'\(path)'", -started)
        }
        pid = started
        tree = ProcessTree(leader: started, mark: mark)
        leader = Leader(pid: started)
        reader = OutputReader(pipe[0], Self.queue, onLine)
        let watch = psb_pidfd_open(started)
        guard watch >= 0 else {
            tree.killAll(hasLeader: true)
            _ = Self.reap(started, blocking: true)
            reader.finish {}
            throw StartFailure("the script cannot be watched", -watch)
        }
        end = DispatchSource.makeReadSource(fileDescriptor: watch, queue: Self.queue)
        let (source, reader, leader) = (end, reader, leader)
        end.setEventHandler {
            guard let status = leader.reap({ Self.reap(started, blocking: false) }) else { return }
            source.cancel()
            reader.finish { onEnd(status) }
        }
        end.setCancelHandler { close(watch) }
        end.resume()
    }

    /// Asks the run to end (SIGTERM). Returns when all that are to hear of it have been told.
    func terminate() async {
        let (tree, leader) = (tree, leader)
        await Self.blocking { tree.terminate(hasLeader: !leader.isReaped) }
    }

    /// Kills every process of the run. Returns when none is left.
    func kill() async {
        let (tree, leader) = (tree, leader)
        await Self.blocking { tree.killAll(hasLeader: !leader.isReaped) }
    }

    /// Longer than anybody waits for a freeze.
    private static let freezePatience = Duration.seconds(2)

    /// Stops every process of the run where it stands (SIGSTOP): how many do. What has stopped itself before stays as it is, and is counted.
    ///
    /// It looks again until two looks agree: whoever is looked at may fork meanwhile, and only what stands cannot.
    func freeze() async throws(SandboxError) -> Int {
        var before: Set<pid_t>?
        let deadline = ContinuousClock.now + Self.freezePatience
        while ContinuousClock.now < deadline {
            let members = await members()
            var moves = false
            for one in members where !stands(one) {
                moves = true
                if let code = leader.signal(one.pid, SIGSTOP) {
                    throw SandboxError(
                        .unavailable, "process \(one.pid) of the launcher's script cannot be stopped: \(String(cString: strerror(code)))")
                }
                stopped.withLock { _ = $0.insert(one.pid) }
            }
            let now = Set(members.map(\.pid))
            if !moves, now == before { return now.count }
            before = moves ? nil : now
        }
        throw SandboxError(.unavailable, "the processes of the launcher's script do not stand still within \(Self.freezePatience)")
    }

    /// Lets what `freeze` has stopped go on.
    func thaw() async {
        let members = await members()
        let stopped = stopped.withLock { stopped in
            defer { stopped = [] }
            return stopped
        }
        for one in members where stopped.contains(one.pid) { _ = leader.signal(one.pid, SIGCONT) }
    }

    /// What is waiting in the kernel stops before it comes back from there, once it was told to.
    private func stands(_ one: ProcessTable.Entry) -> Bool {
        switch one.stillness {
        case .stands: true
        case .waits: stopped.withLock { $0.contains(one.pid) }
        case .moves: false
        }
    }

    private func members() async -> [ProcessTable.Entry] { tree.members(of: await ProcessTable.fresh(), hasLeader: !leader.isReaped) }

    /// How many processes of the run there are.
    var count: Int { get async { await members().count } }

    /// Does on a thread of its own what blocks.
    static func blocking<Value: Sendable>(_ action: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { done in
            queue.async { done.resume(returning: action()) }
        }
    }

    /// How the process ended; `nil` if it has not.
    private static func reap(_ pid: pid_t, blocking: Bool) -> LauncherMachine.ScriptEnd? {
        var status: Int32 = 0
        var result: pid_t = 0
        repeat { result = waitpid(pid, &status, blocking ? 0 : WNOHANG) } while result < 0 && errno == EINTR
        guard result != 0 else { return nil }
        guard result == pid else { return .notStarted("its end was taken by somebody else") }
        return status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
    }
}

/// Whether the script is still there under its number, which is another's to take once its end was read.
private final class Leader: Sendable {
    private let pid: pid_t
    private let reaped = Mutex(false)

    init(pid: pid_t) { self.pid = pid }

    var isReaped: Bool { reaped.withLock { $0 } }

    func reap(_ end: () -> LauncherMachine.ScriptEnd?) -> LauncherMachine.ScriptEnd? {
        reaped.withLock { isReaped in
            let end = end()
            if end != nil { isReaped = true }
            return end
        }
    }

    /// `nil`, or why not (errno). What is gone needs no signal.
    func signal(_ process: pid_t, _ signal: Int32) -> Int32? {
        reaped.withLock { isReaped in
            if process == pid, isReaped { return nil }
            return kill(process, signal) == 0 || errno == ESRCH ? nil : errno
        }
    }
}

/// Reads a pipe to its end, or to the end of the script: what stays behind in the background does not keep the run open.
private final class OutputReader: Sendable {
    private let source: any DispatchSourceRead
    private let lines = Mutex((OutputLines(), isOver: false))
    private let descriptor: Int32
    private let onLine: @Sendable (String) -> Void
    private let queue: DispatchQueue

    init(_ descriptor: Int32, _ target: DispatchQueue, _ onLine: @escaping @Sendable (String) -> Void) {
        self.descriptor = descriptor
        self.onLine = onLine
        queue = DispatchQueue(label: "postern.launcher.output", target: target)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler { [weak self] in
            guard let self, drain() else { return }
            source.cancel()
        }
        source.setCancelHandler { close(descriptor) }
        source.resume()
    }

    /// Gives on what is there; `done` follows the last line.
    func finish(_ done: @escaping @Sendable () -> Void) {
        queue.async {
            _ = self.drain()
            let (rest, dropped) = self.lines.withLock { lines in
                lines.isOver = true
                return (lines.0.finish(), lines.0.dropped)
            }
            for line in rest { self.onLine(line) }
            if dropped > 0 { self.onLine("… \(dropped) further lines were dropped") }
            self.source.cancel()
            done()
        }
    }

    /// Whether the end was reached.
    private func drain() -> Bool {
        guard !lines.withLock({ $0.isOver }) else { return true }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        // A writer that never pauses does not keep the end of the script from being seen.
        for _ in 0..<64 {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return false }
            if count == 0 {
                lines.withLock { $0.isOver = true }
                for line in lines.withLock({ $0.0.finish() }) { onLine(line) }
                return true
            }
            for line in lines.withLock({ $0.0.feed(chunk[..<count]) }) { onLine(line) }
        }
        return false
    }
}
