import NIOCore
import PosternTunnelLink

/// What a connector waits for at most. Tests shorten some.
package struct ConnectorTimes: Sendable {
    /// For TCP to an edge. Longer waits find less: a lost SYN is sent again after 1 s and 3 s, the next time after 7 s.
    package var connect = TimeAmount.seconds(4)
    /// For the edge's TLS and its answer, each.
    package var dial = TimeAmount.seconds(10)
    /// A leg that stood for less is not dialled again at once.
    package var steady = TimeAmount.seconds(3)
    /// For an inner ClientHello, and for the handshake after it.
    package var handshake = TimeAmount.seconds(10)
    /// For the first byte of the next request on an inner connection.
    package var keepAlive = TimeAmount.minutes(5)
    /// For the rest of a head.
    package var head = TimeAmount.seconds(30)
    /// For the connection to an upstream, its TLS included.
    package var upstream = TimeAmount.seconds(10)
    /// Between a request and its answer, and between two pieces of a body. Tools run for minutes.
    package var silence = TimeAmount.minutes(30)
    /// A kept connection to an upstream that was idle for longer is not used for a request that cannot be repeated.
    package var fresh = TimeAmount.seconds(3)
    /// For the calls that run when the connector is asked to end.
    package var drain = TimeAmount.seconds(20)
    package var leg = Leg.Times()

    package init() {}
}
