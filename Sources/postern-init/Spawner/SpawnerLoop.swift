import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// The spawner: starts sandboxes, kills them, makes and removes their folders. It is started first, is small, has one thread, which
/// lives as long as it does (bubblewrap's die-with-parent follows the spawning thread), and ends when the worker's end of the control
/// socket closes. If it is root, it is the only part of Postern that needs to be.
final class SpawnerLoop {
    struct Running {
        var id: Int
        var pid: pid_t
        var user: uid_t
        var errors: Int32
        var isConfined: Bool
        var isKilled = false
    }

    let options: SpawnerOptions
    let isRoot = geteuid() == 0
    let run: RunFolder
    let children: Int32
    var control: ControlSocket
    var sandboxes: [Running] = []
    /// Removals that run in processes of their own, by pid.
    var removals: [pid_t: Int] = [:]
    /// Users that are not given out again while this process lives: something of theirs may.
    var quarantined: Set<uid_t> = []
    var nextUser: uid_t

    static func main(_ options: SpawnerOptions) -> Int32 {
        _ = psb_make_undumpable()
        umask(0o022)
        do throws(SystemFailure) {
            let children = psb_watch_children()
            guard children >= 0 else { throw SystemFailure("signalfd", -children) }
            let loop = SpawnerLoop(options: options, run: try RunFolder(isRoot: geteuid() == 0), children: children)
            return loop.serve()
        } catch {
            var control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 1 << 20)
            control.send(["type": "broken", "reason": .string(error.text)])
            return 70
        }
    }

    private init(options: SpawnerOptions, run: RunFolder, children: Int32) {
        self.options = options
        self.run = run
        self.children = children
        nextUser = options.users.lowerBound
        control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 1 << 20)
    }

    private func serve() -> Int32 {
        control.send([
            "type": "hello", "version": JSON(Roles.version), "root": .bool(isRoot), "uid": JSON(Int(geteuid())),
            "bubblewrap": JSON(options.bubblewrap), "layers": .string(SandboxLayer.text(options.layers)),
        ])
        defer { run.remove() }
        while true {
            var watched = [
                pollfd(fd: control.descriptor, events: Int16(POLLIN | (control.hasUnsent ? POLLOUT : 0)), revents: 0),
                pollfd(fd: children, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&watched, 2, -1)
            control.flush()
            guard control.receive() else { return 0 }
            do {
                while let message = try control.next() { handle(message) }
            } catch {
                return 1
            }
            reap()
        }
    }

    private func handle(_ message: ControlMessage) {
        defer { for descriptor in message.descriptors { close(descriptor) } }
        let id = message.body["id"]?.int ?? 0
        do throws(SpawnerFailure) {
            switch message.body["type"]?.string {
            case "start":
                let user = try start(id, message)
                control.send(["type": "started", "id": JSON(id), "uid": JSON(Int(user))])
            case "kill": killSandbox(id)
            case "remove": try remove(id, message)
            default: throw SpawnerFailure(text: "unknown verb")
            }
        } catch {
            control.send(["type": "failed", "id": JSON(id), "reason": .string(error.text)])
        }
    }

    // MARK: Ends

    private func killSandbox(_ id: Int) {
        guard let index = sandboxes.firstIndex(where: { $0.id == id }) else {
            control.send(["type": "exited", "id": JSON(id)])
            return
        }
        sandboxes[index].isKilled = true
        let sandbox = sandboxes[index]
        guard sandbox.isConfined else {
            Descendants.kill(below: sandbox.pid)
            kill(sandbox.pid, SIGKILL)
            return
        }
        // Killing process 1 takes the whole namespace with it, and bubblewrap reports its end after that. Were bubblewrap killed itself,
        // nobody would know when the last process is gone.
        if let first = Descendants.children(of: sandbox.pid).first, Descendants.children(of: sandbox.pid).contains(first) {
            kill(first, SIGKILL)
        } else {
            quarantined.insert(sandbox.user)
            kill(sandbox.pid, SIGKILL)
        }
    }

    private func remove(_ id: Int, _ message: ControlMessage) throws(SpawnerFailure) {
        guard let name = message.body["name"]?.string, SessionFolders.isName(name), let parent = message.descriptors.first else {
            throw SpawnerFailure(text: "remove takes a name and the folder it is in")
        }
        let pid = psb_fork()
        guard pid >= 0 else { throw SpawnerFailure(text: "no process could be started: \(SystemError.reason(-pid))") }
        if pid == 0 {
            close(control.descriptor)
            _exit(TreeRemoval.remove(parent, Array(name.utf8)))
        }
        removals[pid] = id
    }

    private func reap() {
        psb_clear_children(children)
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            if let id = removals.removeValue(forKey: pid) {
                let code = ExitCode(status).code
                control.send(["type": "removed", "id": JSON(id), "error": code == 0 ? .null : .string(SystemError.reason(code))])
            } else if let index = sandboxes.firstIndex(where: { $0.pid == pid }) {
                let sandbox = sandboxes.remove(at: index)
                control.send([
                    "type": "exited", "id": JSON(sandbox.id), "status": JSON(Int(ExitCode(status).code)), "errors": .string(text(of: sandbox.errors)),
                ])
                close(sandbox.errors)
            }
        }
    }

    /// What bubblewrap and `postern-init` said before they failed.
    private func text(of errors: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = bytes.withUnsafeMutableBytes { pread(errors, $0.baseAddress, $0.count, 0) }
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}
