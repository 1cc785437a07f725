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
        /// Whom it runs as, and who is held for it: not the same where a folder has to be served as its owner.
        var user: uid_t
        var heldUser: uid_t
        var errors: Int32
        var isConfined: Bool
        var group: SessionGroup
        /// The folder of its copy-on-write changes, locked; -1 without one.
        var changes: Int32
        var freeze = FreezeMachine()
        var isKilled = false
        var looksSinceKill = 0
        /// The status of the process that was started, once it has ended. Others may be left for a moment.
        var status: Int32?
        /// Looks for what is left of its user.
        var sweep: pid_t?
        /// Where there is no control group to stop its processes in.
        var stopped = StoppedTree()
    }

    let options: SpawnerOptions
    let isRoot = geteuid() == 0
    let run: RunFolder
    let children: Int32
    var control: ControlSocket
    var sandboxes: [Running] = []
    let groups: CgroupTree
    /// Of a root spawner.
    let users: SessionUsers?
    /// Folders whose owners' users are kept.
    var knownPlaces: Set<String> = []
    /// Users of proxies, of a root spawner.
    let proxyUsers: SessionUsers?
    /// Proxies that run, and processes that look for what one left: by pid, with its user.
    var proxies: [pid_t: uid_t] = [:]
    var proxySweeps: [pid_t: uid_t] = [:]
    /// Work on folders that runs in processes of its own, by pid.
    var folderJobs: [pid_t: FolderJob] = [:]

    static func main(_ options: SpawnerOptions) -> Int32 {
        _ = psb_make_undumpable()
        // What a killed sandbox leaves comes here and is reaped: until then the kernel counts it as its user's.
        _ = psb_become_subreaper()
        umask(0o022)
        do throws(SystemFailure) {
            let children = psb_watch_children()
            guard children >= 0 else { throw SystemFailure("signalfd", -children) }
            // Before anything is made: what a killed spawner has left goes first.
            let groups = CgroupTree()
            let users = geteuid() == 0 ? try SessionUsers(range: options.users) : nil
            guard options.rights == nil || geteuid() == 0 else { throw SystemFailure("--worker is for root", EPERM) }
            let proxyUsers = geteuid() == 0 && options.proxyProgram != nil ? try SessionUsers(range: options.proxyUsers) : nil
            let run = try RunFolder(isRoot: geteuid() == 0, proxyProgram: options.proxyProgram)
            let loop = SpawnerLoop(options: options, run: run, groups: groups, users: users, proxyUsers: proxyUsers, children: children)
            return loop.serve()
        } catch {
            var control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 1 << 20)
            control.send(["type": "broken", "reason": .string(error.text)])
            return 70
        }
    }

    private init(options: SpawnerOptions, run: RunFolder, groups: CgroupTree, users: SessionUsers?, proxyUsers: SessionUsers?, children: Int32) {
        self.options = options
        self.run = run
        self.groups = groups
        self.users = users
        self.proxyUsers = proxyUsers
        self.children = children
        control = ControlSocket(descriptor: SandboxPaths.controlDescriptor, maximumLength: 1 << 20)
    }

    private func serve() -> Int32 {
        control.send([
            "type": "hello", "version": JSON(Roles.version), "root": .bool(isRoot), "uid": JSON(Int(geteuid())),
            "bubblewrap": JSON(options.bubblewrap), "layers": .string(SandboxLayer.text(options.layers)),
        ])
        defer { end() }
        while true {
            var watched = [
                pollfd(fd: control.descriptor, events: Int16(POLLIN | (control.hasUnsent ? POLLOUT : 0)), revents: 0),
                pollfd(fd: children, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&watched, 2, isWaitingForKernel ? 1 : -1)
            control.flush()
            guard control.receive() else { return 0 }
            do {
                while let message = try control.next() { handle(message) }
            } catch {
                return 1
            }
            reap()
            observe()
        }
    }

    private func handle(_ message: ControlMessage) {
        defer { for descriptor in message.descriptors { close(descriptor) } }
        let id = message.body["id"]?.int ?? 0
        do throws(SpawnerFailure) {
            switch message.body["type"]?.string {
            case "start": try startAdmitted(message)
            case "kill": killSandbox(id)
            case "proxy": try startProxy(message)
            case "freeze", "thaw": setFrozen(id, message.body)
            case "count": countProcesses(id, message.body)
            case "remove", "scan", "changes":
                try checkFolderJob(message)
                try startFolderJob(id, message)
            case "open": try openFile(id, message)
            case "output": try openOutput(id, message)
            default: throw SpawnerFailure(text: "unknown verb")
            }
        } catch {
            control.send(["type": "failed", "id": JSON(id), "reason": .string(error.text)])
        }
    }

    private func reap() {
        psb_clear_children(children)
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            if proxyEnded(pid, isClean: ExitCode(status).code == 0) { continue }
            if let job = folderJobs.removeValue(forKey: pid) {
                finish(job, ExitCode(status).code)
            } else if let index = sandboxes.firstIndex(where: { $0.pid == pid }) {
                sandboxes[index].status = ExitCode(status).code
            } else if let index = sandboxes.firstIndex(where: { $0.sweep == pid }) {
                swept(index, isClean: ExitCode(status).code == 0)
            }
        }
    }
}
