import Glibc
import PosternSandboxWire

/// The control group of one sandbox, which is a folder in each tree that bounds something of it.
struct SessionGroup {
    private struct Part {
        var version: CgroupLayout.Version
        var folder: String
        var canFreeze: Bool
    }

    private var parts: [Part] = []
    /// What is in force, and who enforces it.
    private(set) var report = LimitReport()
    /// The memory bound is the kernel's; otherwise each process is bounded by itself.
    var boundsMemory: Bool { if case .kernel = report[.memory] { true } else { false } }

    /// Makes the group with its limits. A limit that cannot be set is in the report as not in force; that of the disk is somebody else's.
    init(_ tree: CgroupTree, id: Int, limits: SandboxLimits, device: String?, disk: LimitReport.Enforcement?) {
        report[.disk] = disk
        for branch in tree.branches {
            let folder = "\(branch.folder)/\(id)"
            guard mkdir(folder, 0o755) == 0 else { continue }
            parts.append(Part(version: branch.version, folder: folder, canFreeze: branch.controllers.contains(.freezer)))
            for controller in branch.controllers { apply(controller, branch.version, folder, limits, device) }
        }
        explainMissing(tree, limits, device)
    }

    private mutating func apply(
        _ controller: CgroupLayout.Controller, _ version: CgroupLayout.Version, _ folder: String, _ limits: SandboxLimits, _ device: String?
    ) {
        let name = "cgroup v\(version.rawValue)"
        guard let limit = Self.limit(of: controller) else { return }
        if controller == .freezer {
            report[limit] = .kernel(name)
            return
        }
        let writes = CgroupSettings.writes(controller, version, limits, device: device)
        guard !writes.isEmpty else { return }
        for write in writes {
            let code = CgroupFile.write(folder, write.file, write.value)
            guard code == 0 || !write.isNeeded else {
                report[limit] = Self.weaker(limit, because: "\(write.file): \(SystemError.reason(code))")
                return
            }
        }
        let isUnbuffered = controller == .io && version == .one
        report[limit] = isUnbuffered ? .partial("\(name), which does not see buffered writes") : .kernel(name)
    }

    private static func limit(of controller: CgroupLayout.Controller) -> LimitReport.Limit? {
        switch controller {
        case .memory: .memory
        case .pids: .processes
        case .cpu: .cpu
        case .io: .io
        case .freezer: .freeze
        }
    }

    /// What is left of a limit without its control group.
    private static func weaker(_ limit: LimitReport.Limit, because reason: String) -> LimitReport.Enforcement {
        switch limit {
        case .memory: .partial("RLIMIT_DATA, each process by itself (\(reason))")
        case .processes: .kernel("RLIMIT_NPROC")
        case .freeze: .partial("SIGSTOP to every process (\(reason))")
        default: LimitReport.Enforcement.none(reason)
        }
    }

    private mutating func explainMissing(_ tree: CgroupTree, _ limits: SandboxLimits, _ device: String?) {
        let asked: [(CgroupLayout.Controller, Bool)] = [
            (.memory, limits.memoryBytes != nil), (.pids, true), (.cpu, limits.cpuPercent != nil), (.io, limits.ioBytesPerSecond != nil),
            (.freezer, true),
        ]
        for (controller, isAsked) in asked where isAsked {
            guard let limit = Self.limit(of: controller), report[limit] == nil else { continue }
            let reason = controller == .io && device == nil ? "the workspace is on no disk of its own" : tree.missing[controller] ?? "not available"
            report[limit] = Self.weaker(limit, because: reason)
        }
    }

    /// The groups, for the process that is to be in them; all of them, or the report would not be true. The caller closes them.
    func openForJoining() throws(SpawnerFailure) -> JoinedGroups {
        var groups = JoinedGroups()
        for part in parts {
            let descriptor =
                part.version == .two ? open(part.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open("\(part.folder)/tasks", O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                let reason = SystemError.reason(errno)
                groups.close()
                throw SpawnerFailure(text: "the control group '\(part.folder)' cannot be joined: \(reason)")
            }
            if part.version == .two { groups.folder = descriptor } else { groups.members.append(descriptor) }
        }
        return groups
    }

    /// Files that count what a limit has cost, for the worker: it may read them, not what they are in. The caller closes them.
    func openCounters() -> (names: [String], descriptors: [Int32]) {
        var names: [String] = []
        var descriptors: [Int32] = []
        let wanted = [
            ("memory_events", ["memory.events", "memory.oom_control"]), ("memory_peak", ["memory.peak", "memory.max_usage_in_bytes"]),
            ("pids_events", ["pids.events"]),
        ]
        for (name, files) in wanted {
            let paths = parts.flatMap { part in files.map { "\(part.folder)/\($0)" } }
            guard let descriptor = paths.lazy.map({ open($0, O_RDONLY | O_CLOEXEC) }).first(where: { $0 >= 0 }) else { continue }
            names.append(name)
            descriptors.append(descriptor)
        }
        return (names, descriptors)
    }

    // MARK: Freezing and killing

    private var freezer: Part? { parts.first { $0.canFreeze } }

    /// `false` where there is no freezer.
    func setFrozen(_ isFrozen: Bool) -> Bool {
        guard let freezer else { return false }
        return freezer.version == .two
            ? CgroupFile.write(freezer.folder, "cgroup.freeze", isFrozen ? "1" : "0") == 0
            : CgroupFile.write(freezer.folder, "freezer.state", isFrozen ? "FROZEN" : "THAWED") == 0
    }

    /// Every process stands still; `nil` where there is no freezer.
    var isFrozen: Bool? {
        guard let freezer else { return nil }
        return freezer.version == .two
            ? CgroupSettings.count("frozen", in: CgroupFile.read(freezer.folder, "cgroup.events") ?? "") == 1
            : CgroupFile.read(freezer.folder, "freezer.state")?.hasPrefix("FROZEN") ?? true
    }

    /// Kills every process in one step. `false` where the kernel cannot.
    func killAll() -> Bool {
        guard let part = parts.first(where: { $0.version == .two }) else { return false }
        return CgroupFile.write(part.folder, "cgroup.kill", "1") == 0
    }

    /// Kills every process, one by one, for kernels that cannot do it in one step.
    func killEach() {
        for part in parts.prefix(1) { for pid in CgroupFile.processes(part.folder) { kill(pid, SIGKILL) } }
    }

    /// A process is left. Without any group nobody knows, and nobody is said to be.
    var isPopulated: Bool {
        guard let part = parts.first(where: { $0.version == .two }) ?? parts.first else { return false }
        return part.version == .two
            ? CgroupSettings.count("populated", in: CgroupFile.read(part.folder, "cgroup.events") ?? "") == 1
            : !CgroupFile.processes(part.folder).isEmpty
    }

    /// Every process, frozen or not; `nil` without any group.
    var processCount: Int? {
        guard let part = freezer ?? parts.first else { return nil }
        return CgroupFile.processes(part.folder).count
    }

    /// After the last process. What cannot be removed yet is left to the sweep of the next spawner.
    func remove() {
        for part in parts { rmdir(part.folder) }
    }

    /// Kills what is in a group that nobody owns any more, and removes it.
    static func clear(_ folder: String) {
        for _ in 0..<200 {
            if CgroupFile.write(folder, "cgroup.kill", "1") != 0 {
                for pid in CgroupFile.processes(folder) { kill(pid, SIGKILL) }
                // Version 1 lets nobody die who is frozen.
                _ = CgroupFile.write(folder, "freezer.state", "THAWED")
            }
            if rmdir(folder) == 0 || errno == ENOENT { return }
            usleep(5000)
        }
    }
}
