import CPosternSandbox
import Glibc
import PosternSandboxWire

/// What all sandboxes of a spawner share: the made-up part of `/etc`, this program, and the places from which workspaces are bound.
///
/// A root spawner keeps it in a tmpfs that only its own mount namespace sees, and puts each session's folders into it in yet another
/// namespace, per sandbox: bubblewrap finds its sources by path and as the session's user, who may not walk to where they really are.
struct RunFolder {
    let path: String
    /// This program, as a path that bubblewrap can bind.
    let program: String
    /// This program where it really is, in the worker's mount namespace.
    let executable: String
    /// Where a root spawner puts a session's folders; `nil` for an ordinary user, whose folders bubblewrap reaches itself. A copy-on-write
    /// workspace is made of the two last ones.
    let mountPoints: (workspace: String, outputs: String, lower: String, changes: String)?

    /// The program of egress proxies, as a path that any user can start; `nil` for none.
    let proxyProgram: String?

    /// The mount namespace that the worker's descriptors belong to; -1 for an ordinary user.
    let outerMounts: Int32

    var etc: String { "\(path)/etc" }
    /// Files of /etc for sandboxes with a resolver.
    var resolver: String { "\(path)/resolver" }
    /// Where an ordinary user's copy-on-write workspace is put together, in a mount namespace per sandbox.
    var merged: String { "\(path)/merged" }
    /// What lies over hidden files and folders: nothing, and nobody may open it.
    var closedFile: String { "\(path)/\(MountProof.closedFile)" }
    var closedFolder: String { "\(path)/\(MountProof.closedFolder)" }

    private static let rootPath = "/run/postern"

    init(isRoot: Bool, proxyProgram given: String?) throws(SystemFailure) {
        guard let own = Posix.link(AT_FDCWD, Array("/proc/self/exe".utf8)) else { throw SystemFailure("readlink /proc/self/exe") }
        executable = String(decoding: own, as: UTF8.self)
        if isRoot {
            path = Self.rootPath
            outerMounts = psb_private_mounts()
            try Self.check("private mount namespace", outerMounts)
            if mkdir(path, 0o755) < 0, errno != EEXIST { throw SystemFailure("mkdir \(path)") }
            try Self.check("tmpfs on \(path)", psb_mount_tmpfs(path, "size=16m,mode=755"))
            mountPoints = ("\(path)/workspace", "\(path)/outputs", "\(path)/lower", "\(path)/changes")
            for name in ["workspace", "outputs", "lower", "changes"] { try Self.makeFolder("\(path)/\(name)") }
            // The program may lie where a session's user cannot walk.
            program = "\(path)/init"
            close(open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0o444))
            try Self.check("bind \(executable)", psb_bind(executable, program))
            if let given {
                let place = "\(path)/proxy"
                close(open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0o444))
                try Self.check("bind \(given)", psb_bind(given, place))
                proxyProgram = place
            } else {
                proxyProgram = nil
            }
        } else {
            let base = Self.userBase()
            Self.sweep(base)
            var template = Array("\(base)/postern-\(getpid())-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw SystemFailure("mkdtemp in \(base)") }
            path = String(cString: made)
            program = executable
            proxyProgram = given
            mountPoints = nil
            outerMounts = -1
        }
        try Self.makeFolder(merged)
        try Self.makeFolder(closedFolder)
        chmod(closedFolder, 0)
        close(open(closedFile, O_WRONLY | O_CREAT | O_CLOEXEC, 0))
        try EtcFolder.make(at: etc, resolver: resolver)
    }

    private static func makeFolder(_ path: String) throws(SystemFailure) {
        guard mkdir(path, 0o755) == 0 else { throw SystemFailure("mkdir \(path)") }
    }

    private static func check(_ name: String, _ result: Int32) throws(SystemFailure) {
        guard result >= 0 else { throw SystemFailure(name, -result) }
    }

    private static func userBase() -> String {
        let runtime = "/run/user/\(getuid())"
        guard let info = Posix.status(AT_FDCWD, Array(runtime.utf8), follow: false), Posix.isKind(info, S_IFDIR), info.st_uid == getuid() else {
            return "/tmp"
        }
        return runtime
    }

    /// Removes what spawners of this user that were killed have left: `postern-<pid>-…` of no living process.
    private static func sweep(_ base: String) {
        let folder = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        defer { close(folder) }
        for name in Posix.names(of: folder) ?? [] {
            let parts = String(decoding: name, as: UTF8.self).split(separator: "-")
            guard parts.count == 3, parts[0] == "postern", let pid = pid_t(parts[1]), kill(pid, 0) < 0, errno == ESRCH,
                let info = Posix.status(folder, name, follow: false), info.st_uid == getuid()
            else { continue }
            _ = TreeRemoval.remove(folder, name)
        }
    }

    /// Removes a user's run folder at an orderly end; a root spawner's vanishes with its mount namespace.
    func remove() {
        guard mountPoints == nil, let slash = path.lastIndex(of: "/") else { return }
        let parent = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { return }
        _ = TreeRemoval.remove(parent, Array(path[path.index(after: slash)...].utf8))
        close(parent)
    }
}
