import PosternTunnelWire

/// What callers have said of legs: that an inner handshake failed. It counts for the caller's own calls: the leg gets none of them where others stand,
/// and after two failures none at all for a time. So who lies takes legs from nobody but itself. A value; times are seconds on one clock.
struct LegReports: Sendable {
    /// Calls that can be reported, of all callers and of one. Beyond the first no further ones can be; of one caller the newest stay.
    static let most = 16_384
    static let mostOfCaller = 64
    /// For so long after it began a call can be reported, and after it came a report is remembered, seconds.
    static let memory = 60.0
    /// Failures after which a leg gets no call of the caller's.
    static let patience = 2
    /// Seconds for the first time, and at most; each failure after that doubles it.
    static let first = 30.0
    static let longest = 600.0

    struct Call: Sendable, Hashable {
        var tunnelID: String
        var host: TunnelHost
        /// Of the leg, and its connector's key.
        var leg: Int
        var key: String
        /// Who may report it.
        var reporter: String
        var began: Double
        /// The client has gone on after the server's part of inner TLS, as far as an edge can see.
        var isProved = false
    }

    private struct Place: Hashable {
        var leg: Int
        var reporter: String
    }

    private struct Doubt {
        var failures = 0
        var last = 0.0
        var until = 0.0
        var length = LegReports.first
    }

    private var calls: [String: Call] = [:]
    private var ofCaller: [String: [String]] = [:]
    private var doubts: [Place: Doubt] = [:]
    /// When each was swept last: once in a while only, however full it is, since that costs as much as it holds.
    private var swept = (calls: -Double.infinity, doubts: -Double.infinity)
    private static let pause = 1.0

    /// A call has reached a leg.
    mutating func began(_ id: String, _ call: Call) {
        if calls.count >= Self.most, call.began - swept.calls >= Self.pause {
            swept.calls = call.began
            forget(before: call.began - Self.memory)
        }
        guard calls.count < Self.most else { return }
        calls[id] = call
        var ids = ofCaller[call.reporter] ?? []
        ids.append(id)
        if ids.count > Self.mostOfCaller { calls[ids.removeFirst()] = nil }
        ofCaller[call.reporter] = ids
    }

    /// The call's client has believed the server, as far as an edge can see.
    mutating func proved(_ id: String) { calls[id]?.isProved = true }

    func call(_ id: String, now: Double) -> Call? { calls[id].flatMap { now - $0.began <= Self.memory ? $0 : nil } }

    /// Its caller says that the inner handshake failed. Once for each call; `nil` where there is no such call of this caller's.
    /// - Parameter shuts: whether all who are this reporter know the same authorities. Else its reports shut no leg, they only put it last.
    mutating func failed(_ id: String, by reporter: String, shuts: Bool = true, now: Double) -> Call? {
        guard let call = call(id, now: now), call.reporter == reporter else { return nil }
        calls[id] = nil
        ofCaller[reporter]?.removeAll { $0 == id }
        if ofCaller[reporter]?.isEmpty == true { ofCaller[reporter] = nil }
        let place = Place(leg: call.leg, reporter: reporter)
        if doubts.count >= Self.most, now - swept.doubts >= Self.pause {
            swept.doubts = now
            doubts = doubts.filter { Self.lasts($0.value, now) }
        }
        var doubt = doubts[place].flatMap { Self.lasts($0, now) ? $0 : nil } ?? Doubt()
        guard doubt.failures > 0 || doubts.count < Self.most else { return call }
        doubt.failures += 1
        doubt.last = now
        if shuts, doubt.failures >= Self.patience, doubt.until <= now {
            doubt.until = now + doubt.length
            doubt.length = min(doubt.length * 2, Self.longest)
        }
        doubts[place] = doubt
        return call
    }

    private static func lasts(_ doubt: Doubt, _ now: Double) -> Bool { now < max(doubt.until, doubt.last + memory) }

    /// Whether the caller has reported the leg a while ago.
    func isDoubted(_ leg: Int, by reporter: String, now: Double) -> Bool {
        doubts[Place(leg: leg, reporter: reporter)].map { Self.lasts($0, now) } ?? false
    }

    /// Whether the leg gets no call of the caller's now.
    func isShut(_ leg: Int, to reporter: String, now: Double) -> Bool { doubts[Place(leg: leg, reporter: reporter)].map { now < $0.until } ?? false }

    /// The leg has ended. One that comes back begins anew.
    mutating func ended(_ leg: Int) {
        if !doubts.isEmpty { doubts = doubts.filter { $0.key.leg != leg } }
    }

    private mutating func forget(before time: Double) {
        calls = calls.filter { $0.value.began >= time }
        ofCaller = ofCaller.compactMapValues { ids in
            let left = ids.filter { calls[$0] != nil }
            return left.isEmpty ? nil : left
        }
    }
}
