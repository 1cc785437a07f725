import NIOCore
import PosternTunnelLink

/// What a connector waits for at most, besides what its document says of each route. Tests shorten some.
package struct ConnectorTimes: Sendable {
    /// For TCP to an edge. Longer waits find less: a lost SYN is sent again after 1 s and 3 s, the next time after 7 s.
    package var connect = TimeAmount.seconds(4)
    /// For the edge's TLS and its answer, each.
    package var dial = TimeAmount.seconds(10)
    /// For all that an edge is asked about registrations in one round.
    package var registrations = TimeAmount.seconds(30)
    /// A leg that stood for less is not dialled again at once.
    package var steady = TimeAmount.seconds(3)
    /// For an inner ClientHello, and for the handshake after it.
    package var handshake = TimeAmount.seconds(10)
    /// For the first byte of the next request on an inner connection.
    package var keepAlive = TimeAmount.minutes(5)
    /// For the rest of a head, where no route says it.
    package var head = TimeAmount.seconds(30)
    /// A kept connection to an upstream that was idle for longer is not used for a request that cannot be repeated.
    package var fresh = TimeAmount.seconds(3)
    /// For the rest of a request that the upstream has answered before it had all of it.
    package var rest = TimeAmount.seconds(5)
    /// For a stdio server to start, and for its first answer.
    package var child = TimeAmount.seconds(30)
    /// For the calls that run when the connector is asked to end.
    package var drain = TimeAmount.seconds(20)
    /// For all legs of a changed document to stand after the first of them, before those of the old one are given up.
    package var changeover = TimeAmount.seconds(5)
    /// A leg that takes no more calls stands at least for so long after it said so.
    package var farewell = TimeAmount.seconds(2)
    package var leg = Leg.Times()

    package init() {}
}
