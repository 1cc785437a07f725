import PosternTunnelWire

/// Where a connection through a tunnel leads, and past which edge.
package struct TunnelRoute: Sendable, Hashable {
    /// How the edge is asked to relay.
    package enum Way: String, Sendable, Hashable, CaseIterable {
        /// TLS to the edge, and `CONNECT` in it.
        case connect
        /// The inner TLS by itself, with the host as its server name, where the tunnel's `splice` setting allows it.
        case splice
    }

    package struct Edge: Sendable, Hashable {
        /// Tried in their order; what a later one is asked, the earlier ones have not begun.
        package var addresses: [EdgeAddress]
        /// What the edge's certificate must name.
        package var name: String
        /// PEM of the only authorities that the edge's certificate is checked against; `nil` for the system's.
        package var authorities: String?

        package init(addresses: [EdgeAddress], name: String, authorities: String? = nil) {
            self.addresses = addresses
            self.name = name
            self.authorities = authorities
        }
    }

    package var host: TunnelHost
    package var edge: Edge
    package var way: Way
    /// With it the edge, and whoever sees its traffic, is shown the route's id in place of its name.
    package var routeKey: RouteKey?

    /// The host as everybody on the way gets to see it.
    package var shown: TunnelHost { routeKey.map { TunnelHost(route: $0.id(of: host.route), domain: host.domain) } ?? host }

    package init(host: TunnelHost, edge: Edge, way: Way = .connect, routeKey: RouteKey? = nil) {
        self.routeKey = routeKey
        self.host = host
        self.edge = edge
        self.way = way
    }
}
