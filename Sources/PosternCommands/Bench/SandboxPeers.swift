import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Other programs that confine `/bin/true`, each as near to a session's sandbox as its options come.
struct SandboxPeer {
    var name: String
    /// `nil` where the program is not installed.
    var command: [String]?
    /// The first failure, after which it is not tried again.
    var failure: String?
    var samples: [Double] = []

    /// All of them. `folder` is bubblewrap's workspace; `scratch`, which every user can search, gets the OCI runtimes' bundle.
    static func all(bubblewrap: String, folder: String, scratch: String) throws -> [SandboxPeer] {
        let bundle = try OCIBundle.make(in: scratch)
        return [
            SandboxPeer(name: "bwrap /bin/true, same binds", command: BareBubblewrap.command(bubblewrap, folder)),
            // Without groups of its own it has the least to do.
            SandboxPeer(
                name: "crun run /bin/true, no cgroup",
                command: program("crun").map {
                    [$0, "--root", "\(scratch)/crun", "--cgroup-manager", "disabled", "run", "--bundle", bundle, "postern-bench-crun"]
                }),
            SandboxPeer(
                name: "runc run /bin/true",
                command: program("runc").map { [$0, "--root", "\(scratch)/runc", "run", "--bundle", bundle, "postern-bench-runc"] }),
            SandboxPeer(
                name: "firejail /bin/true",
                command: program("firejail").map {
                    [
                        $0, "--quiet", "--noprofile", "--net=none", "--caps.drop=all", "--seccomp", "--private-dev", "--private-tmp", "--nonewprivs",
                        "--ipc-namespace", "/bin/true",
                    ]
                }),
        ]
    }

    /// One run, unless it is missing or failed before. The result of a round that only warms up is dropped.
    mutating func measure(_ null: Int32, isKept: Bool) {
        guard let command, failure == nil else { return }
        do throws(CommandError) {
            let time = try ProgramTimer.run(command, null)
            if isKept { samples.append(time) }
        } catch {
            failure = error.message
        }
    }

    var note: String { command == nil ? "not installed" : failure.map { "not available: \($0)" } ?? "" }

    private static func program(_ name: String) -> String? {
        ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }
}

/// The folder from which an OCI runtime starts a container that has what a session's sandbox has.
private enum OCIBundle {
    static func make(in scratch: String) throws(CommandError) -> String {
        let bundle = "\(scratch)/bundle"
        let workspace = "\(scratch)/workspace"
        guard mkdir(workspace, 0o755) == 0 else { throw CommandError(.failure, "no folder can be made at \(workspace)") }
        for folder in ["", "/rootfs", "/rootfs/usr", "/rootfs/workspace"] + ["proc", "dev", "tmp", "home", "etc"].map({ "/rootfs/\($0)" }) {
            guard mkdir(bundle + folder, 0o755) == 0 else { throw CommandError(.failure, "no folder can be made at \(bundle)\(folder)") }
        }
        for name in ["bin", "sbin", "lib", "lib64"] where TextFile.exists("/\(name)") { symlink("usr/\(name)", "\(bundle)/rootfs/\(name)") }
        try TextFile.writeSecret(configuration(workspace: workspace).text, to: "\(bundle)/config.json")
        return bundle
    }

    private static func configuration(workspace: String) -> JSON {
        let id: JSON = [["containerID": 0, "hostID": 300_000, "size": 65_536]]
        func mount(_ destination: String, _ type: String, _ source: String, _ options: [JSON]) -> JSON {
            ["destination": .string(destination), "type": .string(type), "source": .string(source), "options": .array(options)]
        }
        return [
            "ociVersion": "1.0.2", "hostname": "sandbox", "root": ["path": "rootfs", "readonly": true],
            "process": [
                "terminal": false, "cwd": "/", "args": ["/bin/true"], "env": ["PATH=/usr/bin:/bin"], "noNewPrivileges": true,
                "user": ["uid": 1000, "gid": 1000], "capabilities": ["bounding": [], "effective": [], "permitted": []],
            ],
            "mounts": [
                mount("/proc", "proc", "proc", []), mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/usr", "bind", "/usr", ["rbind", "ro"]), mount("/workspace", "bind", workspace, ["rbind", "rw"]),
                mount("/tmp", "tmpfs", "tmpfs", ["nosuid", "nodev"]), mount("/home", "tmpfs", "tmpfs", ["nosuid", "nodev"]),
            ],
            "linux": [
                "uidMappings": id, "gidMappings": id,
                "namespaces": .array(["pid", "ipc", "uts", "mount", "network", "user"].map { ["type": .string($0)] }),
            ],
        ]
    }
}
