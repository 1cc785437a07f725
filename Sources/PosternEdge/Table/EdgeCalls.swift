import PosternTunnelWire

/// The tunnel was archived, or its splicing turned off, or the caller's credential has ended.
struct CallCut: Error, CustomStringConvertible {
    var description: String { "the tunnel is archived, or is not spliced any more, or the caller's credential has ended" }
}

/// The calls through an edge that run: on what each rests, and how it is cut.
struct EdgeCalls: Sendable {
    private struct Call {
        var opening: CallOpening
        var cut: @Sendable () -> Void
    }
    /// By tunnel and number.
    private var calls: [String: [Int: Call]] = [:]
    /// The ends of calls by certificates, by whose they are.
    private var ends: [RuntimeIdentity: [Int: CallDeadline]] = [:]

    /// On whose credentials they rest.
    var principals: Set<String> { Set(calls.values.flatMap(\.values).flatMap(\.opening.principals)) }

    /// Calls of the very same identity that began with an older certificate go on until this one's ends.
    mutating func began(_ id: Int, tunnelID: String, _ opening: CallOpening, end: CallDeadline?, cut: @escaping @Sendable () -> Void) {
        if let identity = opening.identity, let until = opening.until {
            for older in (ends[identity] ?? [:]).values { older.prolong(until: until) }
            if let end { ends[identity, default: [:]][id] = end }
        }
        calls[tunnelID, default: [:]][id] = Call(opening: opening, cut: cut)
    }

    mutating func ended(_ id: Int, tunnelID: String, _ opening: CallOpening) {
        calls[tunnelID]?[id] = nil
        if calls[tunnelID]?.isEmpty == true { calls[tunnelID] = nil }
        guard let identity = opening.identity else { return }
        ends[identity]?[id] = nil
        if ends[identity]?.isEmpty == true { ends[identity] = nil }
    }

    /// Cuts the calls of tunnels that are gone, and the spliced ones of those that are spliced no more.
    func cuts(by known: KnownTunnels) -> [@Sendable () -> Void] {
        calls.flatMap { id, calls in
            let tunnel = known[id]
            return calls.values.filter { tunnel == nil || $0.opening.isSplice && tunnel?.splices != true }.map(\.cut)
        }
    }

    /// Cuts the calls that rest on what has ended.
    func cuts(of ended: Set<String>) -> [@Sendable () -> Void] {
        ended.isEmpty ? [] : calls.values.flatMap(\.values).filter { !ended.isDisjoint(with: $0.opening.principals) }.map(\.cut)
    }
}
