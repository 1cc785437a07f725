import Glibc
import PosternSandboxWire
import Synchronization

/// What a sandbox's limits have cost it so far, read from the files of its control group, which the spawner has opened.
final class LimitCounters: Sendable {
    private let files: [String: Int32]
    private let last = Mutex(LimitEvents())

    /// Takes over the descriptors.
    init(names: [String], descriptors: [Int32]) {
        files = Dictionary(zip(names, descriptors)) { _, second in second }
        for extra in descriptors.dropFirst(names.count) { close(extra) }
    }

    deinit { for file in files.values { close(file) } }

    /// Processes that were ended for want of memory can be counted.
    var countsMemory: Bool { files["memory_events"] != nil }

    /// Refused processes can be counted.
    var countsProcesses: Bool { files["pids_events"] != nil }

    /// What has happened since the last time this was asked.
    func news() -> LimitEvents {
        let now = LimitEvents(
            memoryKills: read("memory_events").map { CgroupSettings.count("oom_kill", in: $0) } ?? 0,
            refusedProcesses: read("pids_events").map { CgroupSettings.count("max", in: $0) } ?? 0)
        return last.withLock { last in
            defer { last = now }
            return LimitEvents(
                memoryKills: max(0, now.memoryKills - last.memoryKills), refusedProcesses: max(0, now.refusedProcesses - last.refusedProcesses))
        }
    }

    /// The most memory that the sandbox has used at one time, in bytes; `nil` where nobody counts.
    var memoryPeak: Int? { read("memory_peak").flatMap { Int($0.prefix { $0.isNumber }) } }

    private func read(_ name: String) -> String? {
        guard let file = files[name] else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 8) { buffer in
            let count = pread(file, buffer.baseAddress, buffer.count, 0)
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }
}

/// How often the kernel has said no.
package struct LimitEvents: Sendable, Hashable {
    /// Processes that it ended because the sandbox was out of memory.
    package var memoryKills = 0
    /// Processes and threads that it did not start.
    package var refusedProcesses = 0

    package init(memoryKills: Int = 0, refusedProcesses: Int = 0) {
        self.memoryKills = memoryKills
        self.refusedProcesses = refusedProcesses
    }
}
