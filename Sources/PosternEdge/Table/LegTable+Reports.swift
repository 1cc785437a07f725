import PosternTunnelWire
import Synchronization

/// What callers have found of legs: whom they believed, and what they report.
extension LegTable {
    /// An inner handshake through the leg has failed, as far as an edge can see. Says whether its key is doubted from now on.
    func failed(_ leg: EdgeLeg) -> Bool { doubts.withLock { $0.failed(leg.connectorKey, now: EdgeShares.now) } }

    /// The caller of a call has believed who answers on the leg.
    func proved(_ leg: EdgeLeg, _ call: String) {
        doubts.withLock { $0.proved(leg.connectorKey) }
        reports.withLock { $0.proved(call) }
    }

    /// A call that its caller may report has reached a leg.
    func began(_ call: String, on leg: EdgeLeg, _ host: TunnelHost, _ reporter: String) {
        let entry = LegReports.Call(
            tunnelID: leg.tunnelID, host: host, leg: leg.id, key: leg.connectorKey, reporter: reporter, began: EdgeShares.now)
        reports.withLock { $0.began(call, entry) }
    }

    func reportable(_ call: String) -> LegReports.Call? { reports.withLock { $0.call(call, now: EdgeShares.now) } }

    /// Its caller says that the inner handshake failed; `false` where it has no such call. Where an edge could not see it, it counts for the key as well.
    func reported(_ call: String, by opening: CallOpening) -> Bool {
        let shuts = opening.certificate != nil
        guard let call = reports.withLock({ $0.failed(call, by: opening.reporter, shuts: shuts, now: EdgeShares.now) }) else { return false }
        if call.isProved { doubts.withLock { _ = $0.failed(call.key, now: EdgeShares.now) } }
        return true
    }

    /// Whether legs stand, and each of them gets no call of this caller's.
    func isShut(tunnelID: String, to reporter: String) -> Bool {
        let legs = legs(of: tunnelID)
        return !legs.isEmpty && reports.withLock { reports in legs.allSatisfy { reports.isShut($0.id, to: reporter, now: EdgeShares.now) } }
    }
}
