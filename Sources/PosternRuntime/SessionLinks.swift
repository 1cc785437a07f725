import ManagedAgentsAPI
import ManagedAgentsClient
import PosternCore
import PosternMCP
import PosternTunnelWire

/// What one session has of connections: one client for each of its servers, one identity for each tunnel, and the connections below them.
actor SessionLinks {
    private struct Tunnel {
        var certificate: SessionCertificate
        var connections: TunnelConnections
    }

    let caller: MCPCaller
    private let tunnels: TunnelService
    private let settings: RuntimeSettings
    private let eras: EraMemory
    private var open: [String: Tunnel] = [:]
    private var clients: [MCPServer: MCPClient] = [:]
    private var isOver = false

    init(_ caller: MCPCaller, tunnels: TunnelService, settings: RuntimeSettings, eras: EraMemory) {
        self.caller = caller
        self.tunnels = tunnels
        self.settings = settings
        self.eras = eras
    }

    /// The client of a server; nothing is dialled here.
    func client(of server: MCPServer) async throws(MCPFailure) -> MCPClient {
        if let client = clients[server] { return client }
        let place = try ServerPlace(server)
        guard let edge = settings.edge() else {
            throw ServerPlace.failure(
                server, "this control plane has no edge to dial; its operator names one with --tunnel-edge, or runs --with-edge")
        }
        let isOurs: Bool
        do throws(APIError) {
            isOurs = try await tunnels.liveTunnel(domain: place.host.domain, workspaceID: caller.workspaceID) != nil
        } catch {
            throw ServerPlace.failure(server, error.message)
        }
        guard isOurs else { throw ServerPlace.noTunnel(server) }
        // Again, because others may have come first, and the session may have ended.
        guard !isOver else { throw ServerPlace.failure(server, "the session has ended") }
        if let client = clients[server] { return client }
        let tunnel = tunnel(place.host.domain)
        let transport = TunnelTransport(place.host, connections: tunnel.connections) { () async throws(TransportError) in
            let pass = try await tunnel.certificate.current()
            return TunnelPassage(TunnelRoute(host: place.host, edge: edge, routeKey: pass.routeKey), pass.credentials)
        }
        var link = HTTPLink.Settings()
        link.messageLimit = settings.messageBytes
        var options = MCPClient.Options(identity: settings.identity)
        options.silence = settings.silence
        options.maximum = settings.call
        options.eras = eras
        // A model is told of an eighth of that at most, and many sessions list at a time.
        options.listBytes = 4 << 20
        let client = MCPClient(HTTPLink(transport, endpoint: place.endpoint, settings: link), options: options)
        clients[server] = client
        return client
    }

    private func tunnel(_ domain: String) -> Tunnel {
        if let tunnel = open[domain] { return tunnel }
        let places = MCPServer.all(of: caller.agent).compactMap { server in (try? ServerPlace(server))?.host }
        let routes = Set(places.filter { $0.domain == domain }.map(\.route)).sorted()
        var dialling = TunnelConnections.Settings()
        dialling.checkConnection = settings.checkConnection
        dialling.limits.perKey = settings.mostConnections
        dialling.limits.total = settings.mostConnections
        let tunnel = Tunnel(
            certificate: SessionCertificate(caller, domain: domain, routes: routes, tunnels: tunnels, settings: settings),
            connections: TunnelConnections(dialling))
        open[domain] = tunnel
        return tunnel
    }

    /// Ends all of it: servers that keep sessions are told where that takes no longer than a moment, calls under way are cut.
    func close() async {
        guard !isOver else { return }
        isOver = true
        let (clients, connections) = (Array(self.clients.values), open.values.map(\.connections))
        self.clients = [:]
        open = [:]
        await withTaskGroup { group in
            group.addTask {
                await withTaskGroup { group in for client in clients { group.addTask { await client.close() } } }
            }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            // What is still said to a server ends with its connection.
            for connection in connections { await connection.shutdown() }
            group.cancelAll()
        }
    }
}
