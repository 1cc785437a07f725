import PosternTelemetry

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What Prometheus clients tell of their own process, under the usual names.
enum ProcessMetrics {
    static func register(_ metrics: MetricsRegistry) {
        let start = Double(time(nil))
        metrics.gauge("process_start_time_seconds", help: "Start of the process since the epoch, in seconds.") { start }
        metrics.gauge("process_resident_memory_bytes", help: "Resident memory, in bytes.") { residentBytes() }
        metrics.counter("process_cpu_seconds_total", help: "Processor time used, user and system, in seconds.") { processorSeconds() }
    }

    private static func residentBytes() -> Double {
        guard let text = try? TextFile.read("/proc/self/statm") else { return 0 }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}
