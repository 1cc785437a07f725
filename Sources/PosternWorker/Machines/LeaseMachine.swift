/// A lease: when to beat, what a beat's answer means, when the lease must be taken for lost (contract, sections 5.5, 6.1, 6.5).
/// A value without I/O; times are durations of one monotonic clock.
package struct LeaseMachine: Sendable, Equatable {
    package static let noHeartbeat = "NO_HEARTBEAT"

    package enum End: Sendable, Equatable {
        /// The service asks the holder to stop: everything ends, then the item is stopped.
        case stopping
        /// Another may hold it: everything ends at once and nothing is sent any more, not even a stop.
        case lost
        /// A beat was refused for good: everything ends, then the item is stopped.
        case refused
    }

    package enum Step: Sendable, Equatable {
        /// Beat again after the duration.
        case wait(Duration)
        case end(End)
    }

    /// The precondition of the next beat, byte for byte.
    package private(set) var expected: String
    /// The last lease time that the service named; `nil` before the first answer.
    package private(set) var ttl: Duration?
    /// The beat that was answered well last was sent then.
    private var lastSuccess: Duration
    private var end: End?

    /// `expected` is `NO_HEARTBEAT`, or the value kept by the journal of a worker that was killed.
    package init(expected: String = LeaseMachine.noHeartbeat, now: Duration) {
        self.expected = expected
        lastSuccess = now
    }

    private var assumedTTL: Duration { ttl ?? .seconds(90) }

    /// Wait between beats: 30 s at first, then half the lease, within 1 to 30 s. Also one beat's own time-out.
    package var interval: Duration { ttl.map { min(max($0 / 2, .seconds(1)), .seconds(30)) } ?? .seconds(30) }

    /// How long a result is tried to be sent.
    package var sendingWindow: Duration { ttl ?? .seconds(300) }

    package struct Answer: Sendable, Equatable {
        package var lastHeartbeat: String
        package var state: String
        package var isExtended: Bool
        package var ttlSeconds: Int

        package init(lastHeartbeat: String, state: String, isExtended: Bool, ttlSeconds: Int) {
            self.lastHeartbeat = lastHeartbeat
            self.state = state
            self.isExtended = isExtended
            self.ttlSeconds = ttlSeconds
        }
    }

    package mutating func answered(_ answer: Answer, sentAt: Duration) -> Step {
        if let end { return .end(end) }
        if !answer.lastHeartbeat.isEmpty { expected = answer.lastHeartbeat }
        if answer.ttlSeconds > 0 { ttl = .seconds(min(answer.ttlSeconds, 86_400)) }
        if answer.state == "stopping" || answer.state == "stopped" || !answer.isExtended { return finish(.stopping) }
        lastSuccess = max(lastSuccess, sentAt)
        return .wait(interval)
    }

    package mutating func preconditionFailed() -> Step { finish(.lost) }

    package mutating func refused() -> Step { finish(.refused) }

    /// No answer, or one that waiting may cure. A lease that was not extended for its whole time is taken for lost, and the wait ends
    /// no later than that, so that two workers never serve one item.
    package mutating func failed(now: Duration) -> Step {
        if let end { return .end(end) }
        let left = lastSuccess + assumedTTL - now
        return left <= .zero ? finish(.lost) : .wait(min(interval, left))
    }

    private mutating func finish(_ reason: End) -> Step {
        end = end ?? reason
        return .end(end ?? reason)
    }
}
