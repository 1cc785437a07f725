import Dispatch

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Time, for a log's own records and its limits.
package struct AuditClock: Sendable {
    /// The present time as RFC 3339 in UTC.
    package var timestamp: @Sendable () -> String
    /// Time since some moment; never goes back.
    package var elapsed: @Sendable () -> Duration
    /// Calls the closure once, that much later, on any thread.
    package var after: @Sendable (Duration, @escaping @Sendable () -> Void) -> Void

    package init(
        timestamp: @escaping @Sendable () -> String, elapsed: @escaping @Sendable () -> Duration,
        after: @escaping @Sendable (Duration, @escaping @Sendable () -> Void) -> Void
    ) {
        self.timestamp = timestamp
        self.elapsed = elapsed
        self.after = after
    }

    /// The machine's.
    package static let system = AuditClock(
        timestamp: {
            var now = timespec()
            clock_gettime(CLOCK_REALTIME, &now)
            return AuditTime.text(seconds: Int(now.tv_sec), microseconds: Int(now.tv_nsec) / 1000)
        },
        elapsed: {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
        },
        after: { delay, body in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(delay / .milliseconds(1))), execute: body)
        }
    )
}
