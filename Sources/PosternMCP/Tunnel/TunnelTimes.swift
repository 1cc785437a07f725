import NIOCore

/// What the runtime's end of a tunnel waits for at most. Tests shorten some.
package struct TunnelTimes: Sendable {
    /// For TCP to an edge, its TLS, and its answer to `CONNECT`, each.
    package var edge = TimeAmount.seconds(10)
    /// For the inner handshake: an edge waits up to 10 s of it for a connector.
    package var inner = TimeAmount.seconds(20)
    /// A connection that nobody has used for so long is closed. Shorter than any connector waits for the next request.
    package var idle = TimeAmount.seconds(60)
    /// For the rest of an answer that its reader does not want any more; with more than `drainBytes` to come the connection is closed.
    package var drain = TimeAmount.seconds(1)
    package var drainBytes = 64 << 10

    package init() {}
}
