#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Checks of the machine that need no sandbox: kernel, limits, disk.
enum MachineChecks {
    static func all(folder: String) -> [Finding] { [kernel(), openFiles(), disk(folder), cgroups(), appArmor(), helper()].compactMap { $0 } }

    private static func kernel() -> Finding {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let parts = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard parts.count == 2 else { return .limited("kernel", release, "its version cannot be read; Postern is made for Linux 5.12 and later") }
        let isNew = (parts[0], parts[1]) >= (5, 12)
        return isNew ? .good("kernel", release) : .missing("kernel", release, "use Linux 5.12 or later: older ones cannot map owners of mounts")
    }

    private static func openFiles() -> Finding {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(rawValue: 7), &limit)
        let text = limit.rlim_max == .max ? "unlimited" : String(limit.rlim_max)
        guard limit.rlim_max < 8192 else { return .good("open files", "hard limit \(text)") }
        return .limited("open files", "hard limit \(text)", "raise it for many sessions: LimitNOFILE=65536 in the unit, or `ulimit -n 65536`")
    }

    private static func disk(_ folder: String) -> Finding {
        // A folder that will be made: what counts is the disk it will be on.
        var path = TextFile.absolute(folder)
        while !TextFile.exists(path), let slash = path.lastIndex(of: "/") { path = slash == path.startIndex ? "/" : String(path[..<slash]) }
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return .missing("disk", "\(path) cannot be looked at", "name a folder that exists") }
        let free = Double(status.f_bavail) * Double(status.f_frsize) / 1_073_741_824
        let detail = "\((free * 10).rounded() / 10) GiB free at \(path)"
        if access(path, W_OK) != 0 { return .missing("disk", "\(path) cannot be written to", "choose another folder or change its owner") }
        return free >= 1 ? .good("disk", detail) : .limited("disk", detail, "make room: tool outputs and the database go there")
    }

    private static func cgroups() -> Finding {
        if let controllers = try? TextFile.read("/sys/fs/cgroup/cgroup.controllers") {
            let names = controllers.trimmingSpaces
            return names.contains("memory")
                ? .good("cgroups", "v2: \(names)") : .limited("cgroups", "v2 without the memory controller", "limits fall back to those of single processes")
        }
        if TextFile.exists("/sys/fs/cgroup/memory") { return .good("cgroups", "v1") }
        return .limited("cgroups", "none", "limits fall back to those of single processes; mount cgroup2 on /sys/fs/cgroup for limits per session")
    }

    /// Ubuntu 23.10 and later let unconfined programs make user namespaces without rights in them.
    private static func appArmor() -> Finding? {
        guard let value = try? TextFile.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), value.trimmingSpaces == "1" else { return nil }
        return .limited(
            "AppArmor", "restricts user namespaces of unprivileged programs",
            """
            allow bubblewrap by a profile: write to /etc/apparmor.d/bwrap
              abi <abi/4.0>,
              profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }
            and load it with: sudo apparmor_parser -r /etc/apparmor.d/bwrap
            """)
    }

    private static func helper() -> Finding {
        guard let path = Installation.initPath(ProcessEnvironment.current) else {
            return .missing("postern-init", "not beside postern", "install postern-init in the folder of postern, or name it in POSTERN_INIT")
        }
        return .good("postern-init", path)
    }
}
