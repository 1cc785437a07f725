import Foundation
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternMCP
import PosternServer
import PosternTestKit
import PosternTunnelWire

@testable import PosternRuntime

/// A workspace with a tunnel and an authority of it, over the in-memory store with the real cryptography.
struct Workspace {
    let tunnels: TunnelService
    let tunnel: TunnelRecord
    let certificate: TunnelCertificateRecord

    static let id = "wrkspc_1"

    init() async throws {
        guard let seal = SealKey([UInt8](repeating: 7, count: SealKey.size)) else { throw CancellationError() }
        tunnels = TunnelService(store: MemoryStore(), credentials: SealedTunnelCredentials(key: seal), domain: "tunnel.example.com")
        tunnel = try await tunnels.create(displayName: nil, workspaceID: Self.id)
        certificate = try await Self.add(to: tunnel, tunnels)
    }

    /// Registers a fresh authority.
    private static func add(to tunnel: TunnelRecord, _ tunnels: TunnelService) async throws -> TunnelCertificateRecord {
        let pem = try RuntimeAuthority.make(workspaceID: "customer", notBefore: Date() - 60, notAfter: Date() + 86_400).certificatePEM
        return try await tunnels.addCertificate(pem: pem, statement: nil, tunnel.id, workspaceID: id)
    }

    func server(_ route: String = "docs") -> MCPServer { MCPServer(name: route, url: "https://\(route).\(tunnel.domain)/mcp") }

    func caller(_ session: String = "sesn_a", workspace: String = Workspace.id, system: JSON = "Be brief.", route: String = "docs") -> MCPCaller {
        MCPCaller(
            SessionRecord(
                id: session, workspaceID: workspace, environmentID: "env_1", agentID: "agent_1", agentVersion: 3, threadID: "sthr_1",
                agent: [
                    "id": "agent_1", "system": system,
                    "mcp_servers": [["type": "url", "name": .string(route), "url": .string(server(route).url)]],
                ], createdBy: "apikey_1", createdAt: .now(), updatedAt: .now()))
    }

    static var settings: RuntimeSettings {
        RuntimeSettings(identity: Implementation(name: "test", version: "1")) { nil }
    }

    func held(_ caller: MCPCaller, _ settings: RuntimeSettings = Workspace.settings) -> SessionCertificate {
        SessionCertificate(caller, domain: tunnel.domain, routes: ["docs"], tunnels: tunnels, settings: settings)
    }
}
