import PosternTunnelWire

/// Token buckets, one for each share of a rate: a value; the time is given, in seconds that never go back.
struct RateBuckets: Sendable {
    /// Shares that are told apart at one time.
    static let mostCallers = 4_096

    let rate: RoutePolicy.Rate
    private var buckets: [String: TokenBucket] = [:]

    init(_ rate: RoutePolicy.Rate) { self.rate = rate }

    /// The seconds after which `count` tokens of `caller` may be there; `nil` where they are, and may be spent.
    mutating func wait(for count: Int, of caller: String, at now: Double) -> Int? {
        if buckets[caller] == nil, buckets.count >= Self.mostCallers {
            buckets = buckets.filter { !$0.value.isFull(now: now) }
            // Whoever is not counted is not let through.
            guard buckets.count < Self.mostCallers else { return 60 }
        }
        let full = TokenBucket(rate: Double(rate.perMinute) / 60, burst: Double(rate.burst), now: now)
        let wait = buckets[caller, default: full].wait(for: Double(count), now: now)
        return wait > 0 ? max(1, Int(wait.rounded(.up))) : nil
    }

    mutating func spend(_ count: Int, of caller: String, at now: Double) { buckets[caller]?.spend(Double(count), now: now) }
}
