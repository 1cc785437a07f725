import Logging
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternMCP
import Testing

@testable import PosternRuntime

/// Which servers are called, and what is kept of sessions.
@Suite struct TunnelledServersTests {
    private func servers(_ workspace: Workspace, most: Int = 2, edge: TunnelRoute.Edge?) -> TunnelledServers {
        var settings = RuntimeSettings(identity: Implementation(name: "test", version: "1")) { edge }
        settings.mostSessions = most
        return TunnelledServers(tunnels: workspace.tunnels, settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Nobody listens at port 1 of loopback.
    private static let dead = TunnelRoute.Edge(addresses: [EdgeAddress(host: "127.0.0.1", port: 1)], name: "tunnel.example.com")

    private func failure(_ servers: TunnelledServers, _ server: MCPServer, _ caller: MCPCaller) async -> MCPFailure? {
        do throws(MCPFailure) {
            _ = try await servers.tools(of: server, for: caller)
            return nil
        } catch {
            return error
        }
    }

    @Test func onlyRoutesOfTheWorkspacesOwnTunnelsAreCalled() async throws {
        let workspace = try await Workspace()
        let servers = servers(workspace, edge: Self.dead)
        let domain = workspace.tunnel.domain
        for (url, words) in [
            ("https://mcp.example.org/mcp", "no domain of a tunnel of this workspace"), ("https://\(domain)/mcp", "no domain of a tunnel"),
            ("https://a.docs.\(domain)/mcp", "no domain of a tunnel"), ("http://docs.\(domain)/mcp", "https://"),
            ("https://docs.\(domain):8443/mcp", "no ports"), ("https://127.0.0.1/mcp", "no domain of a tunnel"),
        ] {
            let failure = await failure(servers, MCPServer(name: "s", url: url), workspace.caller())
            #expect(failure?.kind == .connection && failure?.message.contains(words) == true, "\(url): \(failure?.message ?? "")")
        }
        // Another workspace is not told that there is a tunnel.
        let foreign = await failure(servers, workspace.server(), workspace.caller("sesn_x", workspace: "wrkspc_other"))
        #expect(foreign?.message.contains("no domain of a tunnel of this workspace") == true)
        // The right one is dialled.
        #expect(await failure(servers, workspace.server(), workspace.caller())?.message.contains("edge TCP") == true)
        await servers.shutdown()
    }

    @Test func withoutAnEdgeItSaysWhatIsMissing() async throws {
        let workspace = try await Workspace()
        let servers = servers(workspace, edge: nil)
        #expect(await failure(servers, workspace.server(), workspace.caller())?.message.contains("--tunnel-edge") == true)
        await servers.shutdown()
    }

    @Test func whatIsKeptOfSessionsIsBoundedAndGoesWithThem() async throws {
        let workspace = try await Workspace()
        let servers = servers(workspace, edge: Self.dead)
        for session in ["sesn_a", "sesn_b", "sesn_a", "sesn_c"] { _ = await failure(servers, workspace.server(), workspace.caller(session)) }
        // The one that was used longest ago made room.
        #expect(await servers.sessions == ["sesn_a", "sesn_c"])
        await servers.end(session: "sesn_a")
        #expect(await servers.sessions == ["sesn_c"])
        await servers.shutdown()
        #expect(await servers.sessions.isEmpty)
    }
}
