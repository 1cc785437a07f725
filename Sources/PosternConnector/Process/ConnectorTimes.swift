import NIOCore
import PosternTunnelLink

/// What a connector waits for at most. Tests shorten some.
package struct ConnectorTimes: Sendable {
    /// For dialling an edge, its TLS and its answer, each.
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
    /// For a stdio server to start, and for its first answer.
    package var child = TimeAmount.seconds(30)
    /// For the calls that run when the connector is asked to end.
    package var drain = TimeAmount.seconds(20)
    package var leg = Leg.Times()

    package init() {}
}
