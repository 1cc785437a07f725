import PosternTLS

/// The host name of a route of a tunnel: `docs.ab12cd34.tunnel.example.com` is route `docs` of the tunnel whose domain is the rest.
package struct TunnelHost: Hashable, Sendable {
    /// One label.
    package let route: String
    /// The tunnel's domain.
    package let domain: String
    /// Both: the server name of the inner TLS.
    package let name: String

    package init(route: String, domain: String) {
        self.route = route
        self.domain = domain
        name = "\(route).\(domain)"
    }

    /// Splits a canonical name at its first dot; `nil` for a name of one label.
    package init?(_ name: String) {
        guard let dot = name.firstIndex(of: ".") else { return nil }
        route = String(name[..<dot])
        domain = String(name[name.index(after: dot)...])
        self.name = name
    }

    /// Whether `route` can be a route's name: one label of a host name, which is not taken for the id of one.
    package static func isRoute(_ route: String) -> Bool {
        !route.contains(".") && HostName.canonical("\(route).x") == "\(route).x" && !RouteKey.isID(route)
    }
}

/// What a server name leads to at an edge.
package enum EdgeRoute: Hashable, Sendable {
    /// The edge itself: legs, and `CONNECT`.
    case edge
    /// A host below a domain that may be a tunnel's.
    case tunnel(TunnelHost)
    /// Nothing of this edge's.
    case foreign

    /// `own` is the edge's domain, under which the tunnels' domains are, and its own name.
    package init(serverName: String?, own: String) {
        guard let serverName else {
            self = .foreign
            return
        }
        if serverName == own {
            self = .edge
        } else if let host = TunnelHost(serverName), host.domain.hasSuffix(".\(own)") {
            self = .tunnel(host)
        } else {
            self = .foreign
        }
    }
}
