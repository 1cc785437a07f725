import ManagedAgentsClient
import PosternCore
import PosternMCP
import PosternTLS
import PosternTunnelWire

/// Where a server of an agent is: a route of a tunnel. Whose tunnel it is, the store knows.
struct ServerPlace: Sendable, Equatable {
    let endpoint: MCPEndpoint
    let host: TunnelHost

    /// - Throws: what is wrong with the URL.
    init(_ server: MCPServer) throws(MCPFailure) {
        do { endpoint = try MCPEndpoint(server.url) } catch { throw Self.failure(server, "its URL cannot be used: \(error)") }
        guard endpoint.base.isTLS else { throw Self.failure(server, "its URL must start with https://") }
        guard let host = HostName.canonical(endpoint.base.host).flatMap({ TunnelHost($0) }) else { throw Self.noTunnel(server) }
        guard endpoint.base.port == 443 else { throw Self.failure(server, "a tunnel has no ports: leave out :\(endpoint.base.port)") }
        self.host = host
    }

    static func noTunnel(_ server: MCPServer) -> MCPFailure {
        failure(
            server,
            "its host is below no domain of a tunnel of this workspace, and only such servers are called "
                + "(https://ROUTE.TUNNEL-DOMAIN/…; `postern tunnels list` shows the domains)")
    }

    static func failure(_ server: MCPServer, _ reason: String) -> MCPFailure {
        MCPFailure(.connection, "The MCP server \"\(server.name)\" cannot be used: \(reason)")
    }
}
