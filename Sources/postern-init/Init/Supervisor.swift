import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// Process 1 of a sandbox: starts the shell and the file tools, waits for every process, answers over the control socket. One thread,
/// never blocks on anything a command can influence, holds bounded memory. Its end is the end of the sandbox.
final class Supervisor {
    let layers: Set<SandboxLayer>
    var control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 64 << 20)
    let children: Int32
    let roots: ToolRoots
    let store: OutputStore
    let workspace: Int32
    let configuration: InitConfiguration
    let environment: [String]

    var shell: Shell?
    /// Why the next shell is not the one before; told to the model once.
    var lossOfShell: String?
    var bash: BashCall?
    var waitingBash: [BashCall] = []
    var tools: [ToolProcess] = []
    var executions: [ExecuteCall] = []
    var disk: DiskWatch
    var measurement: DiskMeter?
    /// By this process itself, beside the shell: file tools and commands.
    private(set) var startedProcesses = 0
    /// See `SandboxProcesses.stillness`; of the last measurement.
    var lastStillness: Int?
    /// What the last measurement found, if it was more than the limit.
    var lastExcess: DiskWatch.Usage?
    /// The session has been told, or is about to be, and has not come below the limit since.
    var isToldOfExcess = false
    /// What the next result of the shell is to say of the workspace's size.
    var diskNotice: String?
    private var fullFileSystems: FullFileSystems

    init(layers: Set<SandboxLayer>, children: Int32, places: Places, configuration: InitConfiguration) {
        self.layers = layers
        self.children = children
        self.configuration = configuration
        disk = DiskWatch(configuration.limits, at: monotonicMicroseconds(), volumeBytes: DiskMeter.volumeBytes(of: places.workspace))
        roots = places.roots
        fullFileSystems = FullFileSystems(
            home: places.roots.home, asksWorkspace: configuration.limits.diskBytes != nil || configuration.limits.inodes != nil)
        workspace = places.workspace
        store = OutputStore(directory: places.outputs, path: places.roots.outputs, limit: configuration.limits.toolOutputBytes)
        environment = Self.variables(configuration, places.roots)
    }

    private static func variables(_ configuration: InitConfiguration, _ roots: ToolRoots) -> [String] {
        var variables: [(name: String, value: String)] = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", roots.home), ("USER", SandboxPaths.userName),
            ("LOGNAME", SandboxPaths.userName), ("SHELL", Shell.program), ("LANG", "C.UTF-8"), ("TMPDIR", "/tmp"),
        ]
        let own: [(name: String, value: String)] = [("PS1", ""), ("PS2", ""), ("TERM", "dumb")]
        for (name, value) in configuration.environment + own where EnvironmentRule.refusal(of: name) == nil {
            variables.removeAll { $0.name == name }
            variables.append((name, value))
        }
        return variables.map { "\($0.name)=\($0.value)" }
    }

    func run() -> Int32 {
        startShell()
        defer { measurement?.end() }
        while true {
            wait()
            guard control.receive() else { return 0 }
            do {
                while let message = try control.next() { handle(message) }
            } catch {
                return 1
            }
            shell?.flush()
            control.flush()
            receiveFromShell()
            reap()
            enforceDeadlines()
        }
    }

    /// Sleeps until a descriptor or a deadline needs attention.
    private func wait() {
        var watched = [
            pollfd(fd: control.descriptor, events: Int16(POLLIN | (control.hasUnsent ? POLLOUT : 0)), revents: 0),
            pollfd(fd: children, events: Int16(POLLIN), revents: 0),
        ]
        if let shell {
            if !shell.isSilent { watched.append(pollfd(fd: shell.control, events: Int16(POLLIN | (shell.hasUnsent ? POLLOUT : 0)), revents: 0)) }
            // Between calls what a background job prints stays in the pipe, which bounds it.
            if bash != nil { watched.append(pollfd(fd: shell.output, events: Int16(POLLIN), revents: 0)) }
        }
        let deadlines = tools.map(\.deadline) + (bash.map { [$0.deadline] } ?? []) + (disk.due.map { [$0] } ?? [])
        let milliseconds = deadlines.min().map { max(0, min(60_000, ($0 - monotonicMicroseconds()) / 1000 + 1)) } ?? -1
        // A measurement goes on as soon as everything else has had its turn.
        _ = poll(&watched, nfds_t(watched.count), measurement == nil ? Int32(milliseconds) : 0)
    }

    private func handle(_ message: ControlMessage) {
        let body = message.body
        let id = body["id"]?.int ?? 0
        switch body["type"]?.string {
        case "call":
            let request = ToolRequest(name: body["name"]?.string ?? "", input: body["input"] ?? .null, call: body["call"]?.string ?? "call")
            if request.name == "bash" { startBash(id, request) } else { startTool(id, request) }
        case "execute":
            execute(id, body, message.descriptors)
            return  // The descriptors are its own.
        case "cancel": cancel(id)
        default: break
        }
        for descriptor in message.descriptors { close(descriptor) }
    }

    private func cancel(_ id: Int) {
        if let index = waitingBash.firstIndex(where: { $0.id == id }) {
            waitingBash.remove(at: index)
            answer(id, ToolAnswer(text: "bash: cancelled before it was started", isError: true), started: monotonicMicroseconds(), cancelled: true)
        } else if bash?.id == id {
            loseShell(because: "the last command was cancelled", killing: true)
            finishBash(text: { "bash: cancelled" + $0 }, isError: true, exitCode: nil, cancelled: true)
            runNextBash()
        } else if let index = tools.firstIndex(where: { $0.id == id }) {
            tools[index].cancelled = true
            kill(tools[index].pid, SIGKILL)
        } else if executions.contains(where: { $0.id == id }) {
            killEverything()
        }
    }

    /// Sends the result of a call.
    func answer(
        _ id: Int, _ answer: ToolAnswer, started: Int, exitCode: Int32? = nil, timedOut: Bool = false, cancelled: Bool = false
    ) {
        let full = layers.contains(.mounts) ? fullFileSystems.news() : []
        control.send([
            "type": "result", "id": JSON(id), "outcome": answer.json, "full": .array(full.map { .string($0) }),
            "microseconds": JSON(monotonicMicroseconds() - started),
            "exit_code": exitCode.map { JSON(Int($0)) } ?? .null, "timed_out": .bool(timedOut), "cancelled": .bool(cancelled),
        ])
    }

    // MARK: Processes

    /// Collects every process that has ended.
    private func reap() {
        psb_clear_children(children)
        reapAll()
    }

    /// `true` when no process is left.
    @discardableResult
    func reapAll() -> Bool {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            if pid < 0 { return errno == ECHILD }
            if pid == 0 { return false }
            ended(pid, status)
        }
    }

    private func ended(_ pid: pid_t, _ status: Int32) {
        if shell?.pid == pid {
            shellEnded(status)
        } else if let index = tools.firstIndex(where: { $0.pid == pid }) {
            let tool = tools.remove(at: index)
            toolEnded(tool, status)
        } else if let index = executions.firstIndex(where: { $0.pid == pid }) {
            let execution = executions.remove(at: index)
            executionEnded(execution, status)
        }
    }

    /// Kills all processes but this one and waits until they are gone, double-forked and detached ones too: in a sandbox they are all
    /// of this process's namespace. Bounded, should one hang in the kernel.
    func killEverything() {
        let deadline = monotonicMicroseconds() + 2_000_000
        while true {
            if layers.contains(.namespaces) { kill(-1, SIGKILL) } else { Descendants.kill() }
            if reapAll() || monotonicMicroseconds() > deadline { return }
            var watched = pollfd(fd: children, events: Int16(POLLIN), revents: 0)
            _ = poll(&watched, 1, 5)
            psb_clear_children(children)
        }
    }

    /// A file tool or a command runs: what it leaves is seen soon, also if it is gone by the next look.
    func processStarted() {
        startedProcesses += 1
        disk.callStarted(at: monotonicMicroseconds())
    }

    private func enforceDeadlines() {
        let now = monotonicMicroseconds()
        measureDisk(now)
        if let bash, now >= bash.deadline {
            let seconds = Double(bash.timeoutMilliseconds) / 1000
            loseShell(because: "the last command timed out and was killed with all its children", killing: true)
            finishBash(text: { "bash: bash command timed out after \(seconds)s" + $0 }, isError: true, exitCode: nil, timedOut: true)
            runNextBash()
        }
        for index in tools.indices where now >= tools[index].deadline && !tools[index].timedOut {
            tools[index].timedOut = true
            tools[index].deadline = .max
            kill(tools[index].pid, SIGKILL)
        }
    }
}
