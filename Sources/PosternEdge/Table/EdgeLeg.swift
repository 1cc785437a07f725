import NIOCore
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

/// A leg that stands, with what the edge counts of it.
final class EdgeLeg: Sendable {
    /// Of this process only: the later a leg was asked for, the greater.
    let id: Int
    let tunnelID: String
    let connectorKey: String
    /// The connector's name for it.
    let name: String
    let version: String
    /// Seconds since 1970.
    let since: Int
    /// When the connector's server certificate ends, as it says; seconds since 1970.
    let certificateExpires: Int?
    let leg: Leg
    private let counts = Mutex(Counts())

    struct Counts: Sendable {
        var streams = 0
        /// Those of them that are spliced.
        var splices = 0
        var bytesIn = 0
        var bytesOut = 0
        /// It takes no further calls.
        var isDraining = false

        /// Whether one more stream may be opened. Splices, which anybody can have, leave half of them to callers who have shown who they are.
        func hasRoom(isSplice: Bool) -> Bool {
            !isDraining && streams < LegLimits.streams && (!isSplice || splices < LegLimits.streams / 2)
        }
    }

    init(id: Int, tunnelID: String, connectorKey: String, name: String, version: String, since: Int, certificateExpires: Int? = nil, leg: Leg) {
        self.id = id
        self.tunnelID = tunnelID
        self.connectorKey = connectorKey
        self.name = name
        self.version = version
        self.since = since
        self.certificateExpires = certificateExpires
        self.leg = leg
    }

    var now: Counts { counts.withLock { $0 } }

    func drain() { counts.withLock { $0.isDraining = true } }

    /// Takes a place for a stream; `false` where there is none.
    func enter(isSplice: Bool) -> Bool {
        counts.withLock { counts in
            guard counts.hasRoom(isSplice: isSplice) else { return false }
            counts.streams += 1
            if isSplice { counts.splices += 1 }
            return true
        }
    }

    func leave(isSplice: Bool, bytesIn: Int, bytesOut: Int) {
        counts.withLock { counts in
            counts.streams -= 1
            if isSplice { counts.splices -= 1 }
            counts.bytesIn += bytesIn
            counts.bytesOut += bytesOut
        }
    }

    var report: EdgeLegReport {
        let counts = now
        return EdgeLegReport(
            connectorKey: connectorKey, version: version, since: since, certificateExpires: certificateExpires, streams: counts.streams,
            bytesIn: counts.bytesIn, bytesOut: counts.bytesOut)
    }
}
