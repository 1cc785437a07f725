import NIOCore
import PosternMCP

/// How the control plane reaches private MCP servers. Tests shorten some times.
package struct RuntimeSettings: Sendable {
    /// How the client calls itself to servers.
    package var identity: Implementation
    /// The edge that is dialled; asked for each connection, since one that runs beside the server is known only when it listens. `nil` for none.
    package var edge: @Sendable () -> TunnelRoute.Edge?
    /// Looks at each connection to the edge before anything is sent on it; see `TunnelConnections.Settings`.
    package var checkConnection: @Sendable (any Channel) -> EventLoopFuture<Void> = { $0.eventLoop.makeSucceededVoidFuture() }

    /// Sessions that keep connections, keys and certificates at once. The one that was used longest ago makes room.
    package var mostSessions = 512
    /// Connections of one session to one tunnel, in use or not.
    package var mostConnections = 16
    /// For the tools of one server: a turn waits for them.
    package var listing = Duration.seconds(30)
    /// The longest that a call may go without an answer or word of progress, and the longest in all.
    package var silence = Duration.seconds(120)
    package var call = Duration.seconds(600)
    /// Bytes of one message of a server.
    package var messageBytes = 8 << 20

    /// The life of a certificate, and the rest of it at which the next one is made: longer than a call may take, so that no call outlives its own.
    package var certificateLife = Duration.seconds(900)
    package var certificateRest = Duration.seconds(610)
    /// How long what is registered for a tunnel is believed before it is looked up again.
    package var registrationsAge = Duration.seconds(5)

    package init(identity: Implementation, edge: @escaping @Sendable () -> TunnelRoute.Edge?) {
        self.identity = identity
        self.edge = edge
    }
}
