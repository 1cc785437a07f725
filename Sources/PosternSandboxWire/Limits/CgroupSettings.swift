/// What is written into the files of a session's control group. Pure: names and values only.
package enum CgroupSettings {
    package struct Write: Sendable, Hashable {
        package var file: String
        package var value: String
        /// The limit is not in force without it; others only sharpen it.
        package var isNeeded = true

        package init(_ file: String, _ value: String, isNeeded: Bool = true) {
            self.file = file
            self.value = value
            self.isNeeded = isNeeded
        }
    }

    /// - Parameters:
    ///   - device: "major:minor" of the disk that `io` bounds; `nil` where the workspace is on none.
    /// - Returns: Nothing when `limits` has no such bound.
    package static func writes(
        _ controller: CgroupLayout.Controller, _ version: CgroupLayout.Version, _ limits: SandboxLimits, device: String?
    ) -> [Write] {
        switch (controller, version) {
        case (.memory, .two):
            // Not memory.oom.group: it would take process 1 with the rest, and with it the answer that says what happened.
            limits.memoryBytes.map { [Write("memory.max", "\($0)"), Write("memory.swap.max", "0", isNeeded: false)] } ?? []
        case (.memory, .one):
            limits.memoryBytes.map {
                [Write("memory.limit_in_bytes", "\($0)"), Write("memory.memsw.limit_in_bytes", "\($0)", isNeeded: false)]
            } ?? []
        // Two more, for bubblewrap and process 1.
        case (.pids, _): [Write("pids.max", "\(limits.processes + 2)")]
        case (.cpu, .two): limits.cpuPercent.map { [Write("cpu.max", "\($0 * 1000) 100000")] } ?? []
        case (.cpu, .one): limits.cpuPercent.map { [Write("cpu.cfs_period_us", "100000"), Write("cpu.cfs_quota_us", "\($0 * 1000)")] } ?? []
        case (.io, .two): bound(limits, device) { rate, disk in [Write("io.max", "\(disk) rbps=\(rate) wbps=\(rate)")] }
        case (.io, .one):
            bound(limits, device) { rate, disk in
                ["read", "write"].map { Write("blkio.throttle.\($0)_bps_device", "\(disk) \(rate)") }
            }
        case (.freezer, _): []
        }
    }

    private static func bound(_ limits: SandboxLimits, _ device: String?, _ body: (Int, String) -> [Write]) -> [Write] {
        guard let rate = limits.ioBytesPerSecond, let device else { return [] }
        return body(rate, device)
    }

    /// The file that counts how often the memory limit cost a process its life, and the one that counts refused processes.
    package static func events(_ controller: CgroupLayout.Controller, _ version: CgroupLayout.Version) -> String? {
        switch (controller, version) {
        case (.memory, .two): "memory.events"
        case (.memory, .one): "memory.oom_control"
        case (.pids, _): "pids.events"
        default: nil
        }
    }

    /// The number behind `key` in a file of "key number" lines; 0 where there is none.
    package static func count(_ key: String, in text: String) -> Int {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == key { return Int(parts[1]) ?? 0 }
        }
        return 0
    }
}
