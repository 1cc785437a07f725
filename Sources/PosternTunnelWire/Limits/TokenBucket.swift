/// So much a second, with a burst. A value; times are seconds on one clock, and an earlier one than the last changes nothing.
package struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    /// Below zero where more was spent than there was.
    private var level: Double
    private var at: Double

    /// A full one.
    /// - Parameters:
    ///   - rate: what comes in each second; more than 0.
    ///   - burst: the most that it holds.
    package init(rate: Double, burst: Double, now: Double) {
        self.rate = rate
        self.burst = burst
        level = burst
        at = now
    }

    private mutating func fill(_ now: Double) {
        level = min(burst, level + max(0, now - at) * rate)
        at = max(at, now)
    }

    package func isFull(now: Double) -> Bool { level + max(0, now - at) * rate >= burst }

    /// Takes one; `false` where none is left.
    package mutating func take(now: Double) -> Bool {
        guard wait(for: 1, now: now) == 0 else { return false }
        level -= 1
        return true
    }

    /// For how many seconds there will not be `amount`; 0 where it is there. Takes nothing. More than the burst is never there.
    package mutating func wait(for amount: Double, now: Double) -> Double {
        fill(now)
        return level < amount ? (amount - level) / rate : 0
    }

    /// Takes `amount` in any case, and says for how many seconds whoever took it has to wait.
    @discardableResult
    package mutating func spend(_ amount: Double, now: Double) -> Double {
        fill(now)
        level -= amount
        return level < 0 ? -level / rate : 0
    }
}
