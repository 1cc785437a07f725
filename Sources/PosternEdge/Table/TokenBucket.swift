/// So much a second, with a burst. A value; times are seconds on one clock.
struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    private var level: Double
    private var at: Double

    init(rate: Double, burst: Double, now: Double) {
        self.rate = rate
        self.burst = burst
        level = burst
        at = now
    }

    private mutating func fill(_ now: Double) {
        level = min(burst, level + max(0, now - at) * rate)
        at = max(at, now)
    }

    /// Takes one; `false` where none is left.
    mutating func take(now: Double) -> Bool {
        fill(now)
        guard level >= 1 else { return false }
        level -= 1
        return true
    }

    /// Takes `amount` in any case, and says for how many seconds whoever took it has to wait.
    mutating func spend(_ amount: Double, now: Double) -> Double {
        fill(now)
        level -= amount
        return level < 0 ? -level / rate : 0
    }
}
