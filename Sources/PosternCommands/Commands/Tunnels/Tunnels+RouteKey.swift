import ManagedAgentsClient
import PosternJSON
import PosternTunnelWire

extension Tunnels {
    /// Asks the control plane for the key by which a tunnel's routes have ids.
    static func routeKey(of tunnelID: String, _ client: ManagedAgentsClient) async throws -> RouteKey {
        let answer = try await client.request(.get, ownPath(tunnelID, "/route_key")).json()
        guard let key = answer["route_key"]?.string.flatMap({ RouteKey($0) }) else {
            throw CommandError(.failure, "the control plane's answer holds no route key")
        }
        return key
    }
}
