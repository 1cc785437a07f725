import Glibc
import PosternSandboxWire

/// The argument list of bubblewrap: the whole view that a sandbox has of the machine. It is made here, by the process that may become
/// any user, from numbers and from paths of this process's own; a worker cannot add to it.
struct BubblewrapPlan {
    let bubblewrap: String
    let run: RunFolder
    let view: SessionView
    var isReadOnly: Bool
    var limits: SandboxLimits
    /// The network namespace is there already; see NetworkRole.
    var hasOwnNetwork = false
    var hasResolver = false
    /// Only in tests of single layers.
    var unsafe: UnsafeLayers?
    private var layers: Set<SandboxLayer> { unsafe?.layers ?? Set(SandboxLayer.allCases) }

    /// Parts of the old root that are links into `/usr` on one system and folders on another.
    private static let systemFolders: [[String]] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"].compactMap { name in
        let path = Array("/\(name)".utf8)
        guard let info = Posix.status(AT_FDCWD, path, follow: false) else { return nil }
        if Posix.isKind(info, S_IFLNK) {
            return Posix.link(AT_FDCWD, path).map { ["--symlink", String(decoding: $0, as: UTF8.self), "/\(name)"] }
        }
        return ["--ro-bind", "/\(name)", "/\(name)"]
    }

    /// Files of /proc that tell about the machine and are readable by all.
    private static let maskedFiles = [
        "keys", "key-users", "kallsyms", "modules", "cmdline", "interrupts", "latency_stats", "sched_debug", "timer_list", "sysrq-trigger",
    ].filter { exists("/proc/\($0)") }
    private static let maskedFolders = ["acpi", "scsi", "asound"].filter { exists("/proc/\($0)") }

    private static func exists(_ path: String) -> Bool { Posix.status(AT_FDCWD, Array(path.utf8), follow: false) != nil }

    var arguments: [String] {
        if let unsafe { return arguments(of: unsafe) }
        return namespaces + network + system + process + temporary + session + ["--remount-ro", "/", "--", SandboxPaths.initProgram, "sandbox"]
    }

    private var namespaces: [String] {
        [
            bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
            "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv", "--hostname", "sandbox",
            "--uid", "\(SandboxPaths.userID)", "--gid", "\(SandboxPaths.userID)",
        ]
    }

    private var network: [String] { hasOwnNetwork ? [] : ["--unshare-net"] }

    private var system: [String] {
        var arguments = ["--ro-bind", "/usr", "/usr"] + Self.systemFolders.flatMap { $0 } + ["--ro-bind", run.etc, "/etc"]
        for name in EtcFolder.bound { arguments += ["--ro-bind", "/etc/\(name)", "/etc/\(name)"] }
        guard hasResolver else { return arguments }
        for file in EtcFolder.ofResolver { arguments += ["--ro-bind", "\(run.resolver)/\(file.name)", "/etc/\(file.name)"] }
        // Java knows neither proxy variables nor a variable for certificates.
        for folder in EtcFolder.ofJava { arguments += ["--ro-bind", "\(run.resolver)/\(EtcFolder.javaFolder)", "/etc/\(folder)"] }
        return arguments
    }

    private var process: [String] {
        // Without a process namespace of its own (in tests) a sandbox can be shown the host's /proc only.
        (layers.contains(.namespaces) ? ["--proc", "/proc"] : ["--ro-bind", "/proc", "/proc"])
            // /proc/sys looks at the uid outside every namespace, so it is made read-only as well.
            + ["--ro-bind", "/proc/sys", "/proc/sys"]
            // A device node on a mount without devices cannot be opened: nothing is read and nothing is written.
            + Self.maskedFiles.flatMap { ["--ro-bind", "/dev/null", "/proc/\($0)"] }
            + Self.maskedFolders.flatMap { ["--tmpfs", "/proc/\($0)", "--remount-ro", "/proc/\($0)"] }
    }

    private var temporary: [String] {
        [
            "--dev", "/dev", "--perms", "1777", "--size", "\(max(65_536, limits.temporaryFolderBytes / 4))", "--tmpfs", "/dev/shm", "--remount-ro",
            "/dev",
            "--perms", "1777", "--size", "\(limits.temporaryFolderBytes)", "--tmpfs", "/tmp", "--dir", "/var", "--symlink", "../tmp", "/var/tmp",
            "--size", "\(limits.temporaryFolderBytes)", "--tmpfs", SandboxPaths.home,
        ]
    }

    private var session: [String] {
        ["--ro-bind", run.program, SandboxPaths.initProgram]
            + shown(view.workspace, at: SandboxPaths.workspace, isWritable: !isReadOnly, view.workspaceMasks)
            + ["--bind", view.outputs, SandboxPaths.toolOutputs]
            + view.binds.flatMap { shown($0.source, at: $0.bind.path, isWritable: $0.isWritable, $0.masks) }
            + ["--chdir", SandboxPaths.workspace]
    }

    /// A tree, and what lies over parts of it.
    private func shown(_ source: String, at place: String, isWritable: Bool, _ masks: [TreeMasks.Found]) -> [String] {
        [isWritable ? "--bind" : "--ro-bind", source, place]
            + masks.flatMap { found in
                let inner = "\(place)/\(found.path)"
                return switch found.kind {
                case .hiddenFolder: ["--ro-bind", run.closedFolder, inner]
                case .hiddenFile: ["--ro-bind", run.closedFile, inner]
                case .protected: ["--ro-bind", "\(source)/\(found.path)", inner]
                case .pin: ["--bind", "\(source)/\(found.path)", inner]
                }
            }
    }
}

// MARK: Single layers, for tests

extension BubblewrapPlan {
    /// Only some of the layers: bubblewrap makes mounts and namespaces, the rest is the init's. See `UnsafeLayers`.
    private func arguments(of unsafe: UnsafeLayers) -> [String] {
        let own = layers.contains(.namespaces)
        var arguments = own ? namespaces : [bubblewrap, "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        if layers.contains(.network) { arguments += network }
        if layers.contains(.mounts) {
            arguments += system + process + temporary + session + ["--remount-ro", "/"]
        } else {
            arguments += ["--dev-bind", "/", "/"] + (own ? ["--proc", "/proc"] : []) + ["--chdir", "/"]
        }
        let program = layers.contains(.mounts) ? SandboxPaths.initProgram : run.program
        return arguments + ["--", program, "sandbox", UnsafeLayers.option, unsafe.text]
    }
}
