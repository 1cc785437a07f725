import NIOCore
import PosternTunnelLink

/// In which order legs are asked to take a call: those that its caller has not reported come first, then those whose keys are not doubted, then the key with
/// the fewest calls, so that many legs of one key take no more than its share, then the leg with the fewest, and of equal ones one on the caller's event
/// loop: its bytes then change threads nowhere.
struct LegOrder {
    /// Ids of legs.
    let reported: Set<Int>
    /// Connectors' keys.
    let doubted: Set<String>
    let loop: any EventLoop

    /// The legs of one tunnel, as they are now.
    /// - Parameter tried: they have refused the call: left out, and counted for their keys all the same.
    func sorted(_ legs: [EdgeLeg], besides tried: Set<Int>) -> [EdgeLeg] {
        let open = legs.map { (leg: $0, streams: $0.now.streams) }
        var ofKey: [String: Int] = [:]
        for (leg, streams) in open { ofKey[leg.connectorKey, default: 0] += streams }
        func rank(_ entry: (leg: EdgeLeg, streams: Int)) -> (Int, Int, Int, Int, Int) {
            (
                reported.contains(entry.leg.id) ? 1 : 0, doubted.contains(entry.leg.connectorKey) ? 1 : 0, ofKey[entry.leg.connectorKey] ?? 0,
                entry.streams,
                entry.leg.leg.channel.eventLoop === loop ? 0 : 1
            )
        }
        return open.filter { !tried.contains($0.leg.id) }.sorted { rank($0) < rank($1) }.map(\.leg)
    }
}
