/// Token buckets, one for each share of a rate: a value; the time is given.
struct RateBuckets: Sendable {
    private struct Bucket: Sendable {
        var tokens: Double
        var at: Double
    }
    /// Shares that are told apart at one time.
    static let mostCallers = 4_096

    let rate: RoutePolicy.Rate
    private var buckets: [String: Bucket] = [:]

    init(_ rate: RoutePolicy.Rate) { self.rate = rate }

    /// Takes `count` tokens of `caller` at `now`, in seconds that never go back; all of them or none. Gives the seconds after which to try again,
    /// `nil` where they were taken.
    mutating func take(_ count: Int, of caller: String, at now: Double) -> Int? {
        if let wait = wait(for: count, of: caller, at: now) { return wait }
        spend(count, of: caller)
        return nil
    }

    /// The seconds after which `count` tokens of `caller` may be there; `nil` where they are, and may be spent.
    mutating func wait(for count: Int, of caller: String, at now: Double) -> Int? {
        let perSecond = Double(rate.perMinute) / 60
        if buckets[caller] == nil, buckets.count >= Self.mostCallers {
            buckets = buckets.filter { $0.value.tokens + (now - $0.value.at) * perSecond < Double(rate.burst) }
            // Whoever is not counted is not let through.
            guard buckets.count < Self.mostCallers else { return 60 }
        }
        var bucket = buckets[caller] ?? Bucket(tokens: Double(rate.burst), at: now)
        bucket.tokens = min(Double(rate.burst), bucket.tokens + (now - bucket.at) * perSecond)
        bucket.at = now
        buckets[caller] = bucket
        guard bucket.tokens >= Double(count) else {
            return max(1, Int(((Double(count) - bucket.tokens) / perSecond).rounded(.up)))
        }
        return nil
    }

    mutating func spend(_ count: Int, of caller: String) { buckets[caller]?.tokens -= Double(count) }
}
