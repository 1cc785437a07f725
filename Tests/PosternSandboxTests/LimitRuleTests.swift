import PosternJSON
import PosternSandboxWire
import Testing

@testable import PosternSandbox

@Suite struct LimitRuleTests {
    private static let hybridMounts = """
        30 24 0:26 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
        31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
        32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
        33 30 0:29 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
        34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        """

    @Test func choosesPerController() {
        let layout = CgroupLayout(mountInfo: Self.hybridMounts, groups: "4:memory:/a/b\n3:cpu,cpuacct:/\n2:blkio:/x\n0::/own\n") { folder in
            folder == "/sys/fs/cgroup/unified/own" ? "hugetlb pids\n" : nil
        }
        #expect(layout.name == "v1 with v2 (hybrid)")
        #expect(layout.hierarchy(of: .memory)?.folder == "/sys/fs/cgroup/memory/a/b")
        #expect(layout.hierarchy(of: .memory)?.version == .one)
        #expect(layout.hierarchy(of: .cpu)?.folder == "/sys/fs/cgroup/cpu,cpuacct")
        #expect(layout.hierarchy(of: .io)?.folder == "/sys/fs/cgroup/blkio/x")
        // Version 2 wins where it has the controller, and always for freezing.
        #expect(layout.hierarchy(of: .pids)?.version == .two)
        #expect(layout.hierarchy(of: .freezer)?.folder == "/sys/fs/cgroup/unified/own")
        #expect(layout.hierarchy(of: .freezer)?.isTop == false)
    }

    @Test func seesOnlyWhatTheMountShows() {
        let v2 = "40 30 0:30 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
        let inside = CgroupLayout(mountInfo: v2, groups: "0::/docker/x/worker\n") { _ in "cpu io memory pids" }
        #expect(inside.name == "v2")
        for controller in CgroupLayout.Controller.allCases { #expect(inside.hierarchy(of: controller)?.folder == "/sys/fs/cgroup/worker") }
        // A name that only begins alike is another group.
        #expect(CgroupLayout(mountInfo: v2, groups: "0::/docker/xy\n") { _ in "" }.hierarchies.isEmpty)
        #expect(CgroupLayout(mountInfo: "", groups: "") { _ in nil }.name == "none")
        #expect(CgroupLayout(mountInfo: "nonsense - cgroup2\n - \n\n", groups: ":::\n") { _ in nil }.hierarchies.isEmpty)
    }

    @Test func writesWhatTheKernelTakes() {
        var limits = SandboxLimits()
        limits.memoryBytes = 256 << 20
        limits.cpuPercent = 150
        limits.ioBytesPerSecond = 1 << 20
        limits.processes = 100
        func texts(_ controller: CgroupLayout.Controller, _ version: CgroupLayout.Version, device: String? = "8:0") -> [String] {
            CgroupSettings.writes(controller, version, limits, device: device).filter(\.isNeeded).map { "\($0.file)=\($0.value)" }
        }
        #expect(texts(.memory, .two) == ["memory.max=268435456"])
        #expect(texts(.memory, .one) == ["memory.limit_in_bytes=268435456"])
        #expect(texts(.pids, .two) == ["pids.max=102"])
        #expect(texts(.cpu, .two) == ["cpu.max=150000 100000"])
        #expect(texts(.cpu, .one) == ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000"])
        #expect(texts(.io, .two) == ["io.max=8:0 rbps=1048576 wbps=1048576"])
        #expect(texts(.io, .one) == ["blkio.throttle.read_bps_device=8:0 1048576", "blkio.throttle.write_bps_device=8:0 1048576"])
        #expect(texts(.io, .two, device: nil).isEmpty)
        limits.memoryBytes = nil
        limits.cpuPercent = nil
        #expect(texts(.memory, .two).isEmpty && texts(.cpu, .one).isEmpty)
        #expect(CgroupSettings.count("oom_kill", in: "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n") == 3)
        #expect(CgroupSettings.count("oom_kill", in: "oom_kill") == 0 && CgroupSettings.count("max", in: "") == 0)
    }

    @Test func keepsLimitsWithinBounds() {
        var limits = SandboxLimits()
        limits.memoryBytes = nil
        limits.diskBytes = 1 << 30
        limits.inodes = 1000
        limits.cpuPercent = 50
        limits.ioBytesPerSecond = 65_536
        limits.callTimeoutMilliseconds = 1000
        #expect(SandboxLimits(json: limits.json) == limits)
        // Whatever is out of bounds is not taken, and so is refused where limits are checked.
        let wrong: [(String, JSON)] = [
            ("memory_bytes", 1), ("memory_bytes", "1g"), ("cpu_percent", 0), ("io_bytes_per_second", 1), ("disk_bytes", -1), ("inodes", 0),
            ("processes", 3), ("call_timeout_ms", 1), ("call_timeout_ms", 3_600_001),
        ]
        for (key, value) in wrong { #expect(SandboxLimits(json: [key: value]) == SandboxLimits(), "\(key) \(value)") }
        limits.memoryBytes = 1
        #expect(SandboxLimits(json: limits.json) != limits)
    }

    @Test func leavesMemoryForProcesses() {
        var limits = SandboxLimits()
        limits.memoryBytes = 256 << 20
        #expect(limits.temporaryFolderBytes == 64 << 20)
        limits.temporaryBytes = 1 << 20
        #expect(limits.temporaryFolderBytes == 1 << 20)
        limits.memoryBytes = nil
        limits.temporaryBytes = 8 << 30
        #expect(limits.temporaryFolderBytes == 8 << 30)
    }

    @Test func reportsTravel() {
        var report = LimitReport()
        report[.memory] = .kernel("cgroup v2")
        report[.io] = .partial("half")
        report[.disk] = .soft("now and then")
        report[.cpu] = LimitReport.Enforcement.none("no such group")
        #expect(LimitReport(json: report.json) == report)
        #expect(LimitReport(json: [["limit": "nonsense", "by": "x"]]) == LimitReport())
    }

    @Test func saysWhichLimitWasMet() {
        var limits = SandboxLimits()
        limits.memoryBytes = 512 << 20
        func lines(_ events: LimitEvents, failed: Bool = true, counts: Bool = true, full: [String] = [], _ text: String = "") -> [String] {
            LimitNotice.lines(events, limits, countsMemory: counts, countsProcesses: counts, failed: failed, full: full, text: text)
        }
        #expect(lines(LimitEvents()).isEmpty)
        let memory = lines(LimitEvents(memoryKills: 2), failed: false)
        #expect(memory.count == 1 && memory[0].contains("512 MiB") && memory[0].contains("2 processes") && memory[0].contains("The session goes on"))
        #expect(lines(LimitEvents(refusedProcesses: 9)).first?.contains("512 processes and threads") == true)
        // Without a counter the shell's own words are all there is; a successful call that prints them says nothing of limits.
        #expect(lines(LimitEvents(), counts: false, "bash: fork: retry: Resource temporarily unavailable").count == 1)
        #expect(lines(LimitEvents(), failed: false, counts: false, "Resource temporarily unavailable").isEmpty)
        #expect(lines(LimitEvents(), "cp: No space left on device").first?.contains("128 MiB each") == true)
        for text in ["bash: xrealloc: cannot allocate memory", "MemoryError", "terminate called after throwing an instance of 'std::bad_alloc'"] {
            #expect(lines(LimitEvents(), counts: false, text).first?.hasPrefix("[memory limit: each process may use 512 MiB") == true)
            #expect(lines(LimitEvents(), failed: false, counts: false, text).isEmpty && lines(LimitEvents(), text).isEmpty)
        }
        // What is measured is said whatever became of the call.
        #expect(lines(LimitEvents(), failed: false, full: ["/tmp"]).first?.hasPrefix("[disk limit: /tmp is full. /tmp and") == true)
        #expect(lines(LimitEvents(), full: ["/tmp", "/workspace"], "No space left on device").first?.contains("/tmp, /workspace are full.") == true)
        #expect(lines(LimitEvents(), failed: false, "No space left on device").isEmpty)
        #expect(ByteText.of(1536) == "1.5 KiB" && ByteText.of(4 << 30) == "4 GiB" && ByteText.of(7) == "7 bytes")
    }

    private static func diskLimits() -> SandboxLimits {
        var limits = SandboxLimits()
        limits.diskBytes = 1 << 20
        limits.inodes = 100
        return limits
    }

    private static func usage(
        _ bytes: Int, _ inodes: Int = 1, isComplete: Bool = true, deleted: Int = 0, hidden: Bool = false, volume: Int = 0
    ) -> DiskWatch.Usage {
        DiskWatch.Usage(bytes: bytes, inodes: inodes, isComplete: isComplete, deletedBytes: deleted, hasHidden: hidden, volumeBytes: volume)
    }

    @Test func measuresTheDiskForAsLongAsSomethingRuns() {
        var idle = DiskWatch(SandboxLimits(), at: 0, volumeBytes: 0)
        idle.callStarted(at: 0)
        idle.callEnded(at: 5_000_000, started: 0)
        #expect(idle.due == nil)
        var watch = DiskWatch(Self.diskLimits(), at: 0, volumeBytes: 0)
        // Nothing but a shell that waits: looked at less and less, and never not at all.
        for due in [1_000_000, 3_000_000, 7_000_000, 11_000_000] {
            #expect(watch.due == due)
            watch.rested(at: due, isAlone: true)
        }
        // Programs that wait are looked at each second.
        watch.rested(at: 15_000_000, isAlone: false)
        #expect(watch.due == 16_000_000)
        watch.rested(at: 16_000_000, isAlone: true)
        // A short call brings the next look forward, to a second after its start, and is not measured by itself.
        watch.callStarted(at: 16_100_000)
        watch.callEnded(at: 16_150_000, started: 16_100_000)
        #expect(watch.due == 17_100_000)
        // A longer one is.
        watch.callStarted(at: 16_200_000)
        watch.callEnded(at: 16_300_000, started: 16_200_000)
        #expect(watch.due == 16_300_000)
        let first = watch.look(at: 16_300_000, volumeBytes: 0)
        #expect(first == .measure && watch.due == nil)
    }

    @Test func measuresForATwentiethOfTheTime() {
        var watch = DiskWatch(Self.diskLimits(), at: 0, volumeBytes: 0)
        func said(_ usage: DiskWatch.Usage, _ now: Int, took: Int) -> String { watch.measured(usage, at: now, took: took) ?? "nothing" }
        func looks(_ now: Int, volume: Int = 0) -> DiskWatch.Look { watch.look(at: now, volumeBytes: volume) }
        let first = looks(1_000_000)
        let small = said(Self.usage(600_000, volume: 50_000_000), 3_000_000, took: 1_000_000)
        #expect(first == .measure && small == "nothing" && watch.due == 4_000_000)
        // What the file system loses is looked at each second; not before three times what measuring took is there a measurement.
        let hasty = looks(4_000_000, volume: 90_000_000)
        #expect(hasty == .wait && watch.due == 5_000_000)
        let little = looks(6_000_000, volume: 50_400_000)
        let much = looks(6_000_001, volume: 50_500_000)
        #expect(little == .wait && much == .measure)
        // A long call that ends while there is a measurement is followed by another.
        watch.callEnded(at: 7_000_000, started: 0)
        let again = said(Self.usage(600_000), 7_100_000, took: 100_000)
        #expect(again == "nothing" && watch.due == 7_400_000)
        let second = looks(7_400_000)
        _ = said(Self.usage(600_000), 8_400_000, took: 1_000_000)
        let early = looks(28_399_999)
        let due = looks(28_400_000)
        #expect(second == .measure && early == .wait && due == .measure)
    }

    @Test func saysWhyTheDiskLimitIsExceeded() {
        var watch = DiskWatch(Self.diskLimits(), at: 0, volumeBytes: 1 << 30)
        func said(_ usage: DiskWatch.Usage) -> String { watch.measured(usage, at: 0, took: 0) ?? "nothing" }
        let large = said(Self.usage(2 << 20))
        #expect(large == "the workspace holds 2 MiB, more than its limit of 1 MiB")
        let deleted = said(Self.usage(2 << 20, deleted: 1 << 20))
        #expect(deleted.contains("2 MiB (1 MiB of it in deleted files that are still open), more than"))
        let many = said(Self.usage(0, 101, isComplete: false))
        #expect(many.contains("limit of 100"))
        // What cannot be measured is not taken for small.
        let unknown = said(Self.usage(0, isComplete: false))
        #expect(unknown.contains("cannot be measured"))
    }

    @Test func holdsWhatIsHiddenAgainstWhatTheFileSystemLost() {
        let start = 1 << 30
        var watch = DiskWatch(Self.diskLimits(), at: 0, volumeBytes: start)
        func said(_ bytes: Int, hidden: Bool, lost: Int) -> String {
            watch.measured(Self.usage(bytes, hidden: hidden, volume: start + lost), at: 0, took: 0) ?? "nothing"
        }
        // Lost to others, as far as can be told.
        let others = said(100_000, hidden: false, lost: 50 << 20)
        let quiet = said(100_000, hidden: true, lost: 50 << 20)
        // What was written where it can be seen explains itself.
        let seen = said(800_000, hidden: true, lost: 50 << 20 + 700_000)
        #expect([others, quiet, seen] == ["nothing", "nothing", "nothing"])
        let unseen = said(100_000, hidden: true, lost: 52 << 20)
        #expect(unseen.contains("files that cannot be measured") && unseen.contains("lost 2 MiB"))
        // The comparison is with the last time that nothing was hidden.
        let still = said(100_000, hidden: true, lost: 52 << 20)
        #expect(still == unseen)
        let clear = said(100_000, hidden: false, lost: 52 << 20)
        let after = said(100_000, hidden: true, lost: 52 << 20)
        #expect(clear == "nothing" && after == "nothing")
        // What the workspace held before the start explains nothing.
        var hiding = DiskWatch(Self.diskLimits(), at: 0, volumeBytes: start)
        let first = hiding.measured(Self.usage(900_000, hidden: true, volume: start + 900_000), at: 0, took: 0) ?? "nothing"
        #expect(first.contains("files that cannot be measured"))
    }
}
