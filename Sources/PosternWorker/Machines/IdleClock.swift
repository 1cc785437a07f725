/// When a session has been idle long enough to be released (contract, section 7.5). A value without I/O.
struct IdleClock: Sendable, Equatable {
    private let maximum: Duration?
    /// The last event that counts ended a turn.
    private var turnEnded = false
    private(set) var deadline: Duration?

    /// `maximum` nil: never.
    init(maximum: Duration?) { self.maximum = maximum }

    mutating func arm(now: Duration, isPaused: Bool) {
        turnEnded = true
        deadline = isPaused ? nil : maximum.map { now + $0 }
    }

    mutating func disarm() {
        turnEnded = false
        deadline = nil
    }

    /// A call that must not be cut off began.
    mutating func pause() { deadline = nil }

    /// The last such call ended: the time starts afresh.
    mutating func resume(now: Duration) {
        if turnEnded { deadline = maximum.map { now + $0 } }
    }
}
