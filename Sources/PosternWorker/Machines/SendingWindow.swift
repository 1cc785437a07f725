/// How a result is sent again until the window closes (contract, section 6.1): waits of d/2 to d with d = min(30, 2ⁿ⁻¹) seconds.
package struct SendingWindow: Sendable, Equatable {
    private let closesAt: Duration
    private var failures = 0

    package init(opensAt now: Duration, length: Duration) { closesAt = now + length }

    /// The wait before the next try; `nil` once the window would be closed by then.
    package mutating func failed(now: Duration, random: Double, retryAfter: Duration?) -> Duration? {
        failures += 1
        let ceiling = Duration.seconds(failures > 5 ? 30 : 1 << (failures - 1))
        let wait = max(ceiling / 2 + (ceiling / 2) * random, retryAfter ?? .zero)
        return now + wait <= closesAt ? wait : nil
    }
}

/// Waits between attempts to attach to a stream: 0.5 s doubling to 10 s, back to 0.5 at the first event.
package struct ReconnectBackoff: Sendable, Equatable {
    private var next: Duration = .milliseconds(500)

    package init() {}

    package mutating func failed() -> Duration {
        defer { next = min(next * 2, .seconds(10)) }
        return next
    }

    package mutating func receivedEvent() { next = .milliseconds(500) }
}
