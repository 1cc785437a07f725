import Logging
import PosternCore
import PosternMCP
import PosternTunnelWire
import Testing

@testable import PosternRuntime

/// What an edge gets to see of a session's calls, where the tunnel hides its routes and where it does not.
@Suite(.timeLimit(.minutes(1))) struct HiddenRoutesTests {
    private static let name = "zanzibar"

    /// A turn's look at the tools of one server, of a session of its own; what the edge has seen of it, and what the agent is told.
    private func look(_ spy: SpyEdge, _ workspace: Workspace, _ servers: TunnelledServers, _ session: String) async -> (
        seen: [SpyEdge.Seen], told: String
    ) {
        let told: String
        do throws(MCPFailure) {
            _ = try await servers.tools(of: workspace.server(Self.name), for: workspace.caller(session, route: Self.name))
            told = ""
        } catch {
            told = error.message
        }
        return (spy.take(), told)
    }

    private func servers(_ workspace: Workspace, _ spy: SpyEdge) -> TunnelledServers {
        var settings = RuntimeSettings(identity: Implementation(name: "test", version: "1")) { [edge = spy.edge] in edge }
        settings.registrationsAge = .zero
        return TunnelledServers(tunnels: workspace.tunnels, settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private static func knows(_ seen: SpyEdge.Seen) -> Bool { seen.bytes.firstRange(of: Array(name.utf8)) != nil }

    @Test func anEdgeIsShownIDsAloneFromTheRequestThatFollowsTheSettingOn() async throws {
        let workspace = try await Workspace()
        let (id, domain) = (workspace.tunnel.id, workspace.tunnel.domain)
        let key = try #require(RouteKey(try await workspace.tunnels.routeKey(id, workspaceID: Workspace.id)))
        try await SpyEdge.run { spy in
            let servers = servers(workspace, spy)
            // As tunnels are that somebody has created without a word: the edge is shown the name, three times.
            let before = await look(spy, workspace, servers, "sesn_a")
            #expect(!before.seen.isEmpty && before.told.contains("no connector takes the call") && !before.told.contains("route key"))
            for seen in before.seen {
                #expect(seen.request.first == "CONNECT \(Self.name).\(domain):443 HTTP/1.1" && seen.serverName == "\(Self.name).\(domain)")
                #expect(try seen.routes == [Self.name] && Self.knows(seen))
            }
            // The same session, and one that begins then. The edge takes no call by an id, and is asked by no name for all that.
            _ = try await workspace.tunnels.change(id, hidesRoutes: true, workspaceID: Workspace.id)
            for session in ["sesn_a", "sesn_b"] {
                let after = await look(spy, workspace, servers, session)
                #expect(!after.seen.isEmpty && after.told.contains("tunnel.route_key_file") && after.told.contains("postern connector setup"))
                for seen in after.seen {
                    let shown = key.id(of: Self.name)
                    #expect(seen.request.first == "CONNECT \(shown).\(domain):443 HTTP/1.1" && seen.serverName == "\(shown).\(domain)")
                    #expect(try seen.routes == [shown] && !Self.knows(seen))
                }
            }
            _ = try await workspace.tunnels.change(id, hidesRoutes: false, workspaceID: Workspace.id)
            let last = await look(spy, workspace, servers, "sesn_a").seen
            #expect(!last.isEmpty && last.allSatisfy(Self.knows))
            await servers.shutdown()
        }
    }
}
