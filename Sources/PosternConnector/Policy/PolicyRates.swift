import PosternTunnelWire

/// The rates of one policy at work, its own and those of its rules: a value; the time is given.
struct PolicyRates: Sendable {
    private struct Counted: Sendable {
        /// Its key in the document, for refusals.
        var rule: String
        /// Whose calls it is for; `nil`: every call.
        var narrower: RoutePolicy.Rule?
        var buckets: RateBuckets
    }
    private var all: [Counted] = []

    init(_ policy: RoutePolicy) {
        if let rate = policy.rules.rate { all.append(Counted(rule: "rate", buckets: RateBuckets(rate))) }
        for rule in policy.narrower {
            guard let rate = rule.rules.rate else { continue }
            all.append(Counted(rule: rule.rules.prefix + "rate", narrower: rule, buckets: RateBuckets(rate)))
        }
    }

    /// Counts the requests of a body for every rate that it falls under; for all of them or, where one is used up, for none. Gives the refusal then.
    mutating func take(_ body: RPCBody, from identity: RuntimeIdentity, _ catalogue: ToolCatalogue, at now: Double) -> PolicyRefusal? {
        var spent: [(index: Int, count: Int, key: String)] = []
        for index in all.indices {
            let rule = all[index].narrower
            guard rule?.isFor(identity) != false else { continue }
            let count = body.messages.count { message in
                let hints = message.tool.flatMap { catalogue[$0]?.hints }
                return message.requestID != nil && rule?.isFor(method: message.method, tool: message.tool, hints) != false
            }
            guard count > 0 else { continue }
            let key = all[index].buckets.rate.per.key(identity)
            if let wait = all[index].buckets.wait(for: count, of: key, at: now) {
                return PolicyRefusal(
                    .rate(seconds: wait), all[index].rule, "more requests than the policy lets be made in this time",
                    remedy: "try again in \(wait) seconds")
            }
            spent.append((index, count, key))
        }
        for one in spent { all[one.index].buckets.spend(one.count, of: one.key, at: now) }
        return nil
    }
}
