import ManagedAgentsClient
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// What `postern connector setup` does about the names of routes: it fetches the key by which they have ids, and tells who learns the names.
struct ConnectorRouteNames {
    let folder: String
    let terminal: Terminal
    let tunnelID: String

    /// The key is written whether or not routes are called by ids already, so that the setting can be turned on at any time.
    func fetchKey(_ client: ManagedAgentsClient) async throws {
        try TextFile.writeSecret(try await Tunnels.routeKey(of: tunnelID, client).text, to: "\(folder)/\(TunnelFolder.routeKeyFile)")
    }

    /// Changes no setting: other connectors of the tunnel may lack the key.
    func tell(_ client: ManagedAgentsClient) async throws {
        let settings = try await client.request(.get, Tunnels.ownPath(tunnelID, "/settings")).json()
        guard let isOn = settings["hide_routes"]?.bool else {
            return terminal.print("Edges learn the names of its routes that agents call: this control plane is older than the setting hide_routes.")
        }
        if isOn {
            terminal.print("Agents call its routes by ids, which tell edges no names (hide_routes is on).")
        } else {
            terminal.print(
                "Edges learn the names of its routes that agents call (hide_routes is off). When each of its connectors has the route key, turn it on: "
                    + "postern tunnels settings \(tunnelID) --hide-routes")
        }
        let document = "\(folder)/connector.yaml"
        // One that cannot be read `connector check` tells more of.
        guard let configuration = try? ConnectorFiles.configuration(at: document), configuration.tunnel.routeKeyFile == nil else { return }
        terminal.print(
            "\(document) names no route key: this connector takes no calls by ids\(isOn ? ", so agents cannot call its routes" : ""). "
                + "Write `route_key_file: route.key` under `tunnel`.")
    }
}
