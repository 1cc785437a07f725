import ManagedAgentsAPI
import PosternJSON
import Testing

@testable import PosternCore

private typealias H = MachineHarness

/// What a session does with the MCP servers of its agent.
@Suite("MCP servers of a session") struct MCPMachineTests {
    private static let running = ["session.status_running", "session.thread_status_running"]
    private static let idle = ["session.thread_status_idle", "session.usage", "session.status_idle"]
    private static let asks: JSON = ["permission_policy": ["type": "always_ask"]]

    private static func toolset(_ server: String, policy: String = "always_allow", configs: [JSON] = []) -> JSON {
        [
            "type": "mcp_toolset", "mcp_server_name": .string(server),
            "default_config": ["enabled": true, "permission_policy": ["type": .string(policy)]], "configs": .array(configs),
        ]
    }

    private static func server(_ name: String) -> JSON { ["type": "url", "name": .string(name), "url": .string("https://\(name).example/mcp")] }

    private static func agent(_ toolsets: JSON..., tools: [JSON] = []) -> JSONObject {
        var agent = H.agent
        agent["mcp_servers"] = .array(toolsets.compactMap { $0["mcp_server_name"]?.string }.map(server))
        agent["tools"] = .array(tools + toolsets)
        return agent
    }

    private static func tool(_ name: String, _ schema: JSON = ["type": "object"]) -> JSON {
        ["name": .string(name), "description": .string("Does \(name)"), "input_schema": schema]
    }

    private static func list(_ h: inout H, _ results: [String: Result<[JSON], MCPFailure>]) throws -> [String] {
        try h.feed(.toolsListed(listing: h.machine.state.openListing ?? "", results))
    }

    /// A turn that has begun and knows the tools of `docs`.
    private static func begun(_ agent: JSONObject = agent(toolset("docs")), tools: [JSON] = [tool("find"), tool("save")]) throws -> H {
        var h = H(agent: agent)
        _ = try h.send(H.message("go"))
        _ = try list(&h, ["docs": .success(tools)])
        return h
    }

    private static func call(_ h: H) -> (eventID: String, server: MCPServer, tool: String, arguments: JSONObject)? {
        for case .callTool(let id, let server, let tool, let arguments) in h.effects { return (id, server, tool, arguments) }
        return nil
    }

    private static func finished(_ id: String, _ text: String = "found") -> SessionInput {
        .mcpCallFinished(eventID: id, .success(MCPCallResult(content: [H.text(text)], isError: false)))
    }

    @Test("A turn asks the servers first, once, and again in the next turn") func listing() throws {
        var h = H(agent: Self.agent(Self.toolset("docs")))
        #expect(try h.send(H.message("go")) == ["(user.message)"] + Self.running + ["user.message", "[postern.mcp_listing_start]"])
        let listing = try #require(h.machine.state.openListing)
        #expect(h.effects == [.listTools([MCPServer(name: "docs", url: "https://docs.example/mcp")], listing: listing)])
        // What comes meanwhile joins the turn; a listing of before is not taken.
        #expect(try h.send(H.message("more")) == ["(user.message)"])
        #expect(try h.feed(.toolsListed(listing: "sevt_other", ["docs": .success([Self.tool("x")])])).isEmpty)
        #expect(try Self.list(&h, ["docs": .success([Self.tool("find")])]) == ["[postern.mcp_listing]", "user.message", "span.model_request_start"])
        #expect(h.request?.tools.compactMap { $0["name"]?.string } == ["mcp__docs__find"])
        try h.answer([H.text("hi")])
        _ = try h.send(H.message("again"))
        let before = h.log.count
        _ = try Self.list(&h, ["docs": .success([Self.tool("find")])])
        // Nothing new is worth no bytes in the log.
        #expect(String(decoding: h.log[before].bytes, as: UTF8.self).contains("tools") == false)
        #expect(h.request?.tools.count == 1)
        #expect(try h.refolded() == h.machine.state)
    }

    @Test("A server that fails is told as an error, and the turn goes on without it") func failedListing() throws {
        var h = H(agent: Self.agent(Self.toolset("docs"), Self.toolset("mail")))
        _ = try h.send(H.message("go"))
        #expect(
            try Self.list(&h, ["docs": .success([Self.tool("find")]), "mail": .failure(MCPFailure(.authentication, "401"))])
                == ["[postern.mcp_listing]", "session.error", "span.model_request_start"])
        #expect(
            h.last("session.error")?["error"] == [
                "type": "mcp_authentication_failed_error", "message": "401", "retry_status": ["type": "retrying"], "mcp_server_name": "mail",
            ])
        #expect(h.request?.tools.count == 1)
        try h.answer([H.text("hi")])
        _ = try h.send(H.message("again"))
        _ = try Self.list(&h, ["docs": .failure(MCPFailure(.connection, "gone")), "mail": .success([Self.tool("send")])])
        #expect(h.last("session.error")?["error"]?["type"] == "mcp_connection_failed_error")
        #expect(h.request?.tools.compactMap { $0["name"]?.string } == ["mcp__mail__send"])
        #expect(try h.refolded() == h.machine.state)
    }

    @Test("A call runs while the session does, and its result goes to the model") func call() throws {
        var h = try Self.begun()
        #expect(
            try h.answer([H.use("mcp__docs__find", "t1", ["q": "x"])], stop: "tool_use")
                == ["[postern.model_response]", "agent.mcp_tool_use", "span.model_request_end"])
        let call = try #require(Self.call(h))
        #expect(call.tool == "find" && call.arguments == ["q": "x"] && call.server.name == "docs" && h.effects.count == 1)
        let use = try #require(h.last("agent.mcp_tool_use"))
        #expect(use["name"] == "find" && use["mcp_server_name"] == "docs" && use["evaluated_permission"] == "allow")
        #expect(h.machine.state.status == .running)
        // It is not started twice by what comes meanwhile.
        #expect(try h.send(H.message("more")) == ["(user.message)"] && h.effects.isEmpty)
        // Nobody outside answers it.
        #expect(throws: APIError.self) { try h.send(.toolResult(toolUseID: call.eventID, content: [], isError: false)) }
        #expect(throws: APIError.self) { try h.send(.customToolResult(toolUseID: call.eventID, content: [], isError: false)) }
        #expect(
            try h.feed(Self.finished(call.eventID)) == ["agent.mcp_tool_result", "user.message", "span.model_request_start"])
        #expect(h.last("agent.mcp_tool_result")?["mcp_tool_use_id"] == .string(call.eventID))
        #expect(h.requestMessages[2]["content"]?.array?[0]["tool_use_id"] == "t1")
        // An answer that comes twice, or after the end, changes nothing.
        #expect(try h.feed(Self.finished(call.eventID)).isEmpty)
        #expect(try h.refolded() == h.machine.state)
    }

    @Test("A gated call waits for a person, then runs") func gated() throws {
        var h = try Self.begun(Self.agent(Self.toolset("docs", configs: [["name": "save", "permission_policy": ["type": "always_ask"]]])))
        #expect(try h.answer([H.use("mcp__docs__save", "t1", ["n": 1])], stop: "tool_use").suffix(3) == Self.idle[...])
        #expect(Self.call(h) == nil)
        let id = try #require(h.last("agent.mcp_tool_use")?["id"]?.string)
        #expect(h.last("session.status_idle")?["stop_reason"] == ["type": "requires_action", "event_ids": [.string(id)]])
        #expect(try h.send(.toolConfirmation(toolUseID: id, allow: true, denyMessage: nil)) == ["user.tool_confirmation"] + Self.running)
        #expect(Self.call(h)?.eventID == id && Self.call(h)?.arguments == ["n": 1])
        #expect(try h.feed(Self.finished(id)) == ["agent.mcp_tool_result", "span.model_request_start"])
    }

    @Test("A denied call does not run, in the reference's words") func denied() throws {
        var h = try Self.begun(Self.agent(Self.toolset("docs", policy: "always_ask")))
        try h.answer([H.use("mcp__docs__save", "t1")], stop: "tool_use")
        let id = try #require(h.last("agent.mcp_tool_use")?["id"]?.string)
        #expect(
            try h.send(.toolConfirmation(toolUseID: id, allow: false, denyMessage: "no"))
                == ["user.tool_confirmation"] + Self.running + ["agent.mcp_tool_result", "span.model_request_start"])
        #expect(Self.call(h) == nil)
        #expect(
            h.last("agent.mcp_tool_result")?["content"]?.array?[0]["text"]
                == "Permission to use save has been rejected. Rejection message: no")
    }

    @Test("Beside a worker's call both run, and the session waits only for what is left") func besideAWorker() throws {
        var h = try Self.begun(Self.agent(Self.toolset("docs"), tools: H.agent["tools"]?.array ?? []))
        try h.answer([H.use("mcp__docs__find", "t1"), H.use("bash", "t2")], stop: "tool_use")
        let (call, bash) = (try #require(Self.call(h)), try #require(h.last("agent.tool_use")?["id"]?.string))
        #expect(h.machine.state.status == .running)
        #expect(try h.feed(Self.finished(call.eventID)) == ["agent.mcp_tool_result"] + Self.idle)
        #expect(h.last("session.status_idle")?["stop_reason"]?["event_ids"] == [.string(bash)])
        #expect(try h.send(.toolResult(toolUseID: bash, content: [], isError: false)).last == "span.model_request_start")
    }

    @Test("An interrupt cancels what runs and settles it; what it brings along is not even started") func interrupt() throws {
        var h = try Self.begun(Self.agent(Self.toolset("docs", configs: [["name": "save", "permission_policy": ["type": "always_ask"]]])))
        try h.answer([H.use("mcp__docs__find", "t1"), H.use("mcp__docs__save", "t2")], stop: "tool_use")
        let running = try #require(Self.call(h)).eventID
        let held = try #require(h.last("agent.mcp_tool_use")?["id"]?.string)
        let types = try h.send(.toolConfirmation(toolUseID: held, allow: true, denyMessage: nil), .interrupt(threadID: nil))
        #expect(types.suffix(6) == (["agent.mcp_tool_result", "agent.mcp_tool_result", "user.interrupt"] + Self.idle)[...])
        #expect(h.effects == [.cancelCall(eventID: running)])
        #expect(try h.feed(Self.finished(running)).isEmpty)
        #expect(try h.refolded() == h.machine.state)
        // While servers are asked, too.
        _ = try h.send(H.message("again"))
        let listing = try #require(h.machine.state.openListing)
        #expect(try h.send(.interrupt(threadID: nil)).suffix(3) == Self.idle[...])
        #expect(h.effects == [.cancelListing(listing: listing)] && h.machine.state.openListing == nil)
        #expect(try h.feed(.toolsListed(listing: listing, [:])).isEmpty)
    }

    @Test("After a restart a call that was under way is told as unknown and not made again") func restart() throws {
        var h = try Self.begun()
        try h.answer([H.use("mcp__docs__find", "t1")], stop: "tool_use")
        h.machine = SessionMachine(state: try h.refolded(), limits: .init(), source: h.machine.source)
        #expect(try h.feed(.resumed) == ["agent.mcp_tool_result", "span.model_request_start"])
        #expect(Self.call(h) == nil)
        #expect(h.last("agent.mcp_tool_result")?["is_error"] == true)
        #expect(h.last("agent.mcp_tool_result")?["content"]?.array?[0]["text"]?.string?.contains("unknown") == true)
        // A listing that was under way is made again: it changes nothing.
        var other = H(agent: Self.agent(Self.toolset("docs")))
        _ = try other.send(H.message("go"))
        other.machine = SessionMachine(state: try other.refolded(), limits: .init(), source: other.machine.source)
        #expect(try other.feed(.resumed) == ["[postern.mcp_listing_start]"] && other.effects.count == 1)
        #expect(try Self.list(&other, ["docs": .success([])]).last == "span.model_request_start")
    }

    @Test("A call that fails is the model's to know; a connection that fails, the client's too") func failedCall() throws {
        for (kind, told) in [(MCPFailure.Kind.call, 0), (.connection, 1), (.authentication, 1)] {
            var h = try Self.begun()
            try h.answer([H.use("mcp__docs__find", "t1")], stop: "tool_use")
            let id = try #require(Self.call(h)).eventID
            let types = try h.feed(.mcpCallFinished(eventID: id, .failure(MCPFailure(kind, "it went wrong"))))
            #expect(types.count { $0 == "session.error" } == told && types.suffix(2) == ["agent.mcp_tool_result", "span.model_request_start"])
            #expect(h.last("agent.mcp_tool_result")?["content"]?.array?[0]["text"] == "it went wrong")
        }
    }

    @Test("New servers of a session are asked before anything else is") func update() throws {
        var h = try Self.begun()
        try h.answer([H.text("hi")])
        var agent = h.machine.state.agent
        agent["mcp_servers"] = [["type": "url", "name": "docs", "url": "https://elsewhere.example/mcp"]]
        _ = try h.feed(.updated(title: nil, metadata: nil, agent: agent))
        // The old server's tools are not the new one's.
        #expect(h.machine.state.toolset.definitions.isEmpty)
        _ = try h.send(H.message("go"))
        #expect(
            h.effects == [
                .listTools([MCPServer(name: "docs", url: "https://elsewhere.example/mcp")], listing: h.machine.state.openListing ?? "")
            ])
    }

    @Test("Only tools that are switched on are offered, and a server with too many offers none") func selection() throws {
        let off: JSON = ["name": "save", "enabled": false, "permission_policy": ["type": "always_allow"]]
        var h = try Self.begun(Self.agent(Self.toolset("docs", configs: [off])))
        #expect(h.request?.tools.compactMap { $0["name"]?.string } == ["mcp__docs__find"])
        try h.answer([H.use("mcp__docs__save", "t1")], stop: "tool_use")
        #expect(Self.call(h) == nil && h.last("agent.tool_result")?["is_error"] == true)
        h = try Self.begun(tools: (0...MCPToolset.mostTools).map { Self.tool("t\($0)") })
        #expect(h.request?.tools.isEmpty == true && h.last("session.error")?["error"]?["mcp_server_name"] == "docs")
        // All servers together as well: who comes first has its own.
        h = H(agent: Self.agent(Self.toolset("docs"), Self.toolset("mail")))
        _ = try h.send(H.message("go"))
        let (many, more) = ((0..<MCPToolset.mostTools - 1).map { Self.tool("t\($0)") }, [Self.tool("send"), Self.tool("read")])
        _ = try Self.list(&h, ["docs": .success(many), "mail": .success(more)])
        #expect(h.request?.tools.count == many.count && h.last("session.error")?["error"]?["mcp_server_name"] == "mail")
        h = try Self.begun(tools: [Self.tool("big", ["type": "object", "title": .string(String(repeating: "x", count: MCPToolset.mostBytes))])])
        #expect(h.request?.tools.isEmpty == true)
    }

    @Test("Names that model services do not take are made such, and none stands for two tools") func names() throws {
        var h = H(agent: Self.agent(Self.toolset("a"), Self.toolset("a__b"), Self.toolset("ä b")))
        _ = try h.send(H.message("go"))
        let long = String(repeating: "n", count: 200)
        _ = try Self.list(
            &h,
            [
                "a": .success([Self.tool("b__c"), Self.tool("c.d"), Self.tool("c/d"), Self.tool("c.d")]), "a__b": .success([Self.tool("c")]),
                "ä b": .success([Self.tool(long), Self.tool(long + "2")]),
            ])
        let names = h.request?.tools.compactMap { $0["name"]?.string } ?? []
        #expect(names.prefix(4) == ["mcp__a__b__c", "mcp__a__c_d", "mcp__a__c_d_2", "mcp__a__b__c_2"])
        #expect(names.count == 6 && Set(names).count == 6)
        for name in names { #expect(name.utf8.count <= 128 && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }) }
        try h.answer([H.use("mcp__a__b__c_2", "t1"), H.use("mcp__a__c_d_2", "t2")], stop: "tool_use")
        let called = h.effects.compactMap { effect -> String? in
            guard case .callTool(_, let server, let tool, _) = effect else { return nil }
            return "\(server.name) \(tool)"
        }
        #expect(called == ["a__b c", "a c/d"])
    }

    @Test("A schema is told as model services take it") func schemas() throws {
        let h = try Self.begun(tools: [Self.tool("find", ["anyOf": [["required": ["a"]]], "properties": ["a": ["type": "string"]]])])
        #expect(h.request?.tools[0]["input_schema"] == ["properties": ["a": ["type": "string"]], "type": "object"])
    }
}
