/// How long a request may take: so long without a word of progress, and so long in all (lifecycle, "Timeouts": progress may extend a time-out, a
/// longest time holds always). A value; instants come from outside.
package struct Deadline: Sendable, Equatable {
    package typealias Instant = ContinuousClock.Instant

    /// The longest that the server may be silent; nil for ever, as streams of notices are.
    package var silence: Duration?
    /// The longest of all.
    package var maximum: Duration?
    private let start: Instant
    private var last: Instant
    private var hasProgress = false

    package init(silence: Duration?, maximum: Duration?, start: Instant) {
        self.silence = silence
        self.maximum = maximum
        self.start = start
        last = start
    }

    /// The server has told of progress.
    package mutating func progressed(at now: Instant) {
        last = max(last, now)
        hasProgress = true
    }

    /// When it is over unless there is progress; nil for never.
    package var end: Instant? {
        [silence.map { last + $0 }, maximum.map { start + $0 }].compactMap { $0 }.min()
    }

    /// The error of a request that is not answered at `now`; nil where there is still time.
    package func expired(_ method: String, at now: Instant) -> MCPError? {
        if let maximum, now >= start + maximum { return .timedOut(method: method, seconds: Self.seconds(maximum), hasProgress: hasProgress) }
        if let silence, now >= last + silence { return .timedOut(method: method, seconds: Self.seconds(silence), hasProgress: false) }
        return nil
    }

    private static func seconds(_ duration: Duration) -> Int { Int(duration.components.seconds) }
}
