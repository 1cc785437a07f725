#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif
import PosternSandboxWire

/// Checks of the machine beside those of the sandbox: limits, disk, the hardening checklist.
enum MachineChecks {
    /// - Parameter folder: whose disk is looked at; it need not exist yet.
    static func all(folder: String) -> [Finding] {
        do {
            let hardening = try HardeningChecks(folder: folder, environment: ProcessEnvironment.current, isRoot: geteuid() == 0)
            return [openFiles(), disk(hardening.workdir)] + hardening.findings
        } catch {
            return [openFiles(), disk(folder), .limited("worker's settings", "\(error)", "mend them; `postern worker poll` would refuse to start")]
        }
    }

    private static func openFiles() -> Finding {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let text = limit.rlim_max == .max ? "unlimited" : String(limit.rlim_max)
        guard limit.rlim_max < 8192 else { return .good("open files", "hard limit \(text)") }
        return .limited("open files", "hard limit \(text)", "raise it for many sessions: LimitNOFILE=65536 in the unit, or `ulimit -n 65536`")
    }

    private static func disk(_ folder: String) -> Finding {
        // A folder that will be made: what counts is the disk it will be on.
        let path = MountTable.existing(folder)
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return .missing("disk", "\(path) cannot be looked at", "name a folder that exists") }
        if access(path, W_OK) != 0 { return .missing("disk", "\(path) cannot be written to", "choose another folder or change its owner") }
        let free = Double(status.f_bavail) * Double(status.f_frsize) / 1_073_741_824
        let detail = "\((free * 10).rounded() / 10) GiB free at \(path)"
        return free >= 1 ? .good("disk", detail) : .limited("disk", detail, "make room: tool outputs and the database go there")
    }
}
