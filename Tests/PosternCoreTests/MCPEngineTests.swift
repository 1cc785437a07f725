import ManagedAgentsAPI
import PosternJSON
import PosternTestKit
import Synchronization
import Testing

@testable import PosternCore

/// The engine and its port to MCP servers: who is called in whose name, what is cancelled, what is ended.
@Suite("MCP servers of the engine") struct MCPEngineTests {
    private typealias H = MachineHarness

    private static let agent: JSONObject = [
        "id": "agent_1", "name": "tester", "model": ["id": "scripted"],
        "mcp_servers": [["type": "url", "name": "docs", "url": "https://docs.example/mcp"]],
        "tools": [["type": "mcp_toolset", "mcp_server_name": "docs", "default_config": ["permission_policy": ["type": "always_allow"]]]],
    ]

    @Test("A call is made in the session's name and its result reaches the model") func wholeTurn() async throws {
        let servers = ToldServers()
        let house = House(servers: servers)
        let session = try await house.create(H.message("go"), agent: Self.agent)
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        house.model.answer([H.use("mcp__docs__find", "t1", ["q": "x"])], stop: "tool_use")
        house.model.answer([H.text("done")])
        let result = try await house.wait(stream, for: "agent.mcp_tool_result")
        #expect(result["content"] == [H.text("find {\"q\":\"x\"}")])
        _ = try await house.wait(stream, for: "session.status_idle")
        let caller = try #require(servers.callers.last)
        #expect(caller.sessionID == session.id && caller.person == "apikey_1" && caller.agentID == "agent_1" && caller.agent == Self.agent)
        _ = try await house.sessions.archive(session.id, workspaceID: "w")
        #expect(servers.ended == [session.id])
    }

    @Test("An interrupt cancels the call, and a deleted session is ended") func interrupt() async throws {
        let servers = ToldServers(holds: true)
        // Room for no runner but those that do something.
        let house = House(servers: servers, capacity: 1)
        let session = try await house.create(H.message("go"), agent: Self.agent)
        let stream = try await house.sessions.subscribe(session.id, after: 0, previews: [], by: house.client)
        house.model.answer([H.use("mcp__docs__find", "t1")], stop: "tool_use")
        await servers.begun()
        // A session that waits for a server is not put aside.
        _ = try await house.create()
        _ = try await house.create()
        #expect(house.engine.loadedRunner(session.id) != nil)
        _ = try await house.sessions.send([.interrupt(threadID: nil)], to: session.id, by: house.client)
        _ = try await house.wait(stream, for: "session.status_idle")
        await servers.cancelled()
        let results = try await house.events(session.id).filter { $0.type == "agent.mcp_tool_result" }
        #expect(results.count == 1 && String(decoding: results[0].bytes, as: UTF8.self).contains("interrupted"))
        try await house.sessions.delete(session.id, workspaceID: "w")
        #expect(servers.ended == [session.id])
    }
}

/// Servers with one tool, `find`, which says what it was called with, or never answers.
private final class ToldServers: MCPServers {
    private struct State {
        var callers: [MCPCaller] = []
        var ended: [String] = []
    }

    private let state = Mutex(State())
    private let holds: Bool
    private let (beginnings, beginning) = AsyncStream.makeStream(of: Void.self)
    private let (cancellations, cancellation) = AsyncStream.makeStream(of: Void.self)

    init(holds: Bool = false) { self.holds = holds }

    var callers: [MCPCaller] { state.withLock { $0.callers } }
    var ended: [String] { state.withLock { $0.ended } }

    func begun() async { _ = await beginnings.first { _ in true } }
    func cancelled() async { _ = await cancellations.first { _ in true } }

    func tools(of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> [JSON] {
        [["name": "find", "description": "", "input_schema": ["type": "object"]]]
    }

    func call(_ tool: String, _ arguments: JSONObject, of server: MCPServer, for caller: MCPCaller) async throws(MCPFailure) -> MCPCallResult {
        state.withLock { $0.callers.append(caller) }
        beginning.yield()
        if holds {
            // For ever, until it is cancelled.
            try? await Task.sleep(for: .seconds(3600))
            cancellation.yield()
            throw MCPFailure(.call, "cancelled")
        }
        return MCPCallResult(content: [["type": "text", "text": .string("\(tool) \(JSON.object(arguments).text)")]], isError: false)
    }

    func end(session id: String) async { state.withLock { $0.ended.append(id) } }
}
