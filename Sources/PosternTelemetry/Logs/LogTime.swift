#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The moment of a log line, UTC, to the millisecond.
struct LogTime: CustomStringConvertible {
    private let fields: tm
    private let milliseconds: Int

    static func now() -> LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(seconds: Int(time.tv_sec), milliseconds: Int(time.tv_nsec) / 1_000_000)
    }

    init(seconds: Int, milliseconds: Int) {
        var seconds = time_t(seconds)
        var fields = tm()
        gmtime_r(&seconds, &fields)
        self.fields = fields
        self.milliseconds = milliseconds
    }

    /// For example `2026-11-23T13:04:05.120Z`.
    var description: String { "\(digits(fields.tm_year + 1900, 4))-\(digits(fields.tm_mon + 1, 2))-\(digits(fields.tm_mday, 2))T\(clock)Z" }

    /// For example `13:04:05.120`.
    var clock: String {
        "\(digits(fields.tm_hour, 2)):\(digits(fields.tm_min, 2)):\(digits(fields.tm_sec, 2)).\(digits(Int32(milliseconds), 3))"
    }

    private func digits(_ value: Int32, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
