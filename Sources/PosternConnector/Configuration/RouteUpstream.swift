import PosternPolicy

/// What stands behind a route.
package enum RouteUpstream: Hashable, Sendable, CustomStringConvertible {
    /// An HTTP server of the network.
    case network(isTLS: Bool, Authority)
    /// An HTTP server that listens on a unix socket, by its absolute path.
    case socket(path: String)
    /// A stdio MCP server, which the connector starts in a sandbox.
    case command(ChildSettings)

    /// Longest path of a unix socket, bytes: `sun_path` of unix(7) without its NUL.
    package static let longestSocketPath = 107

    package var isTLS: Bool { if case .network(true, _) = self { true } else { false } }

    /// What is dialled in the network; `nil` for others.
    package var authority: Authority? { if case .network(_, let authority) = self { authority } else { nil } }

    /// `nil` where nothing is started by a command.
    package var child: ChildSettings? { if case .command(let settings) = self { settings } else { nil } }

    /// As it stands in a Host header: without the port where it is the scheme's.
    package var hostHeader: String {
        switch self {
        case .network(let isTLS, let authority): authority.port == (isTLS ? 443 : 80) ? authority.host.authority : authority.description
        case .socket, .command: "localhost"
        }
    }

    /// For people, logs and the audit; of a command its program alone.
    package var description: String {
        switch self {
        case .network(let isTLS, let authority): "\(isTLS ? "https" : "http")://\(authority)"
        case .socket(let path): "unix:\(path)"
        case .command(let settings): "command:\(settings.program)"
        }
    }
}
