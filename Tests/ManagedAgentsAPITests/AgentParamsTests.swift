import ManagedAgentsAPI
import PosternJSON
import Testing

@Suite struct AgentParamsTests {
    /// Body → the refusal, word for word.
    static let refusals: [(String, String)] = [
        (#"{"model":"m"}"#, "name: value is required"),
        (#"{"name":"","model":"m"}"#, "name: value is required"),
        (#"{"name":"a"}"#, "model: value is required"),
        (#"{"name":"a","model":"m","zoo":1,"access_token":2}"#, #"Failed to parse request body: unknown field "access_token""#),
        (
            #"{"name":"a","model":{"id":"m","effort":"huge"}}"#,
            #"Failed to parse request: model.effort: "huge" is not a valid value; must be one of "low", "medium", "high", "xhigh", "max""#
        ),
        (#"{"name":7,"model":"m"}"#, "Failed to parse request: name: expected string, got number"),
        (#"[]"#, "Failed to parse request body: expected object, got array"),
        (#"{"name":"a","model":"m","multiagent":{"type":"coordinator","agents":[]}}"#, "multiagent.coordinator.agents: must contain at least 1 item"),
        (
            #"{"name":"a","model":"m","multiagent":{"type":"coordinator","agents":[{"type":"self"},{"type":"self"}]}}"#,
            #"multiagent.agents.1: at most one {"type":"self"} entry is allowed"#
        ),
        (
            #"{"name":"a","model":"m","multiagent":{"type":"coordinator","agents":["agent_01UnknownAgentIdXXXXXXXX"]}}"#,
            "Agent has invalid configuration: subagent agent_01UnknownAgentIdXXXXXXXX is not a valid agent ID"
        ),
        (#"{"name":"a","model":"m","skills":[{"type":"custom","skill_id":"s"}]}"#, "skills is not built yet in this version of Postern."),
        (
            #"{"name":"a","model":"m","tools":[{"type":"agent_toolset_20260401"},{"type":"custom","name":"mcp__a__b","description":"d","input_schema":{"type":"object"}}]}"#,
            #"tools.1.custom.name: custom tool name "mcp__a__b" uses reserved MCP tool prefix"#
        ),
        (
            #"{"name":"a","model":"m","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"bash"},{"name":"read","color":1}]}]}"#,
            #"Failed to parse request: tools[0].configs[1]: unknown field "color""#
        ),
        (
            #"{"name":"a","model":"m","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"web_fetch","allowed_domains":["a"],"blocked_domains":["b"]}]}]}"#,
            "tools.0.agent_toolset_20260401.configs.0: allowed_domains and blocked_domains exclude each other"
        ),
        (
            #"{"name":"a","model":"m","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"web_search","allowed_domains":[]}]}]}"#,
            "tools.0.agent_toolset_20260401.configs.0.allowed_domains: must contain at least 1 item"
        ),
        (
            #"{"name":"a","model":"m","mcp_servers":[{"type":"url","name":"x","url":"https://h"}]}"#,
            #"mcp_servers.0: server "x" is named by no mcp_toolset in tools"#
        ),
        (
            #"{"name":"a","model":"m","tools":[{"type":"mcp_toolset","mcp_server_name":"x"}]}"#,
            #"tools.0.mcp_toolset.mcp_server_name: no entry of mcp_servers is named "x""#
        ),
    ]

    @Test(arguments: refusals) func refusal(body: String, message: String) throws {
        let json = try JSON(parsing: body)
        let error = #expect(throws: APIError.self) { try AgentParams(json) }
        #expect(error?.status == 400)
        #expect(error?.message == message)
    }

    @Test func lengthsCountCodePoints() throws {
        func system(_ text: String) throws -> String? { try AgentParams(["name": "a", "model": "m", "system": .string(text)]).system }
        #expect(try system(String(repeating: "é", count: 100_000)) != nil)
        let error = #expect(throws: APIError.self) { try system(String(repeating: "a", count: 100_001)) }
        #expect(error?.message == "system: maximum string length is 100000")
        #expect(throws: APIError.self) { try AgentParams(["name": .string(String(repeating: "n", count: 257)), "model": "m"]) }
    }

    @Test func everyDefaultIsWrittenOut() throws {
        let json = try JSON(
            parsing: #"""
                {"name":"a","model":"m","tools":[{"type":"agent_toolset_20260401","configs":[{"name":"bash","permission_policy":{"type":"always_ask"}},{"name":"web_fetch","url_sources":{"user_input":"all"}}]},
                {"type":"mcp_toolset","mcp_server_name":"s","configs":[{"name":"t"}]}],"mcp_servers":[{"type":"url","name":"s","url":"https://h/mcp"}]}
                """#)
        let body = try AgentParams(json).body(id: "agent_x", now: Timestamp(microseconds: 0))
        #expect(body["model"] == ["id": "m", "speed": "standard", "effort": ["type": "high"]])
        let toolset = body["tools"]?.array?[0]
        #expect(toolset?["default_config"] == ["enabled": true, "permission_policy": ["type": "always_allow"]])
        #expect(
            toolset?["configs"]?.array?[0] == ["type": "bash", "name": "bash", "enabled": true, "permission_policy": ["type": "always_ask"]])
        #expect(toolset?["configs"]?.array?[1]["url_sources"] == ["user_input": ["type": "all"]])
        let mcp = body["tools"]?.array?[1]
        #expect(mcp?["default_config"] == ["enabled": true, "permission_policy": ["type": "always_ask"]])
        #expect(mcp?["configs"]?.array?[0] == ["name": "t", "enabled": true, "permission_policy": ["type": "always_ask"]])
        #expect(body["skills"] == [] && body["multiagent"] == .null && body["execution_identity"] == ["type": "service_account"])
        #expect(body["description"] == .null && body["system"] == .null)
    }

    @Test func patchTellsNullFromAbsent() throws {
        let stored = try AgentParams(
            [
                "name": "a", "model": ["id": "m", "effort": "low", "inference_geo": "us"], "system": "s", "description": "d",
                "metadata": ["k": "v", "l": "w"],
            ]
        ).body(id: "agent_x", now: Timestamp(microseconds: 0))
        #expect(try AgentPatch(["version": .null]).applied(to: stored) == stored)
        let cleared = try AgentPatch(["system": .null, "description": "", "metadata": ["k": .null, "n": "1"]]).applied(to: stored)
        #expect(cleared["system"] == .null && cleared["description"] == .null)
        #expect(cleared["metadata"] == ["l": "w", "n": "1"])
        let model = try AgentPatch(["model": ["id": "n"]]).applied(to: stored)["model"]
        #expect(model == ["id": "n", "speed": "standard", "effort": ["type": "low"]], "effort stays, the region is cleared")
        for body: JSON in [["name": .null], ["name": ""], ["model": .null]] {
            #expect(throws: APIError.self) { try AgentPatch(body) }
        }
        let error = #expect(throws: APIError.self) { try AgentPatch(["model": ["id": "m", "effort": "huge"]]) }
        #expect(error?.message.hasPrefix(#"Failed to parse request: agent.model.effort: "huge" is not a valid value; "#) == true)
    }

    @Test(arguments: ["mars", "", "US", "us ", "eu"]) func regions(geo: String) {
        #expect(throws: APIError.self) { try AgentParams(["name": "a", "model": ["id": "m", "inference_geo": .string(geo)]]) }
        let error = #expect(throws: APIError.self) { try AgentPatch(["model": ["id": "m", "inference_geo": .string(geo)]]) }
        #expect(
            error?.status == 400
                && (geo.isEmpty
                    || error?.message.hasPrefix("Failed to parse request: agent.model.inference_geo: \"\(geo)\" is not a valid value") == true)
        )
    }

    @Test func domainListsHoldSixtyFour() throws {
        func make(_ count: Int) throws {
            let domains = JSON.array((0..<count).map { .string("d\($0).example") })
            _ = try AgentParams([
                "name": "a", "model": "m",
                "tools": [["type": "agent_toolset_20260401", "configs": [["name": "web_search", "allowed_domains": domains]]]],
            ])
        }
        try make(64)
        #expect(throws: APIError.self) { try make(65) }
    }
}
