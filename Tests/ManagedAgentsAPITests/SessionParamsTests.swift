import ManagedAgentsAPI
import PosternJSON
import Testing

@Suite struct SessionParamsTests {
    private let agent = JSON.string("agent_011CZkZAtmR3yMPDzynEDxu7")

    @Test func unknownOverrideAndLongSystem() throws {
        func create(_ override: (String, JSON)) throws -> SessionCreateParams {
            let base: JSONObject = ["type": "agent_with_overrides", "id": agent]
            return try SessionCreateParams(["agent": .object(base.merging(override)), "environment_id": "env_1"])
        }
        let unknown = #expect(throws: APIError.self) { try create(("multiagent", [:])) }
        #expect(unknown?.message == #"Failed to parse request body: unknown field "multiagent""#)
        let long = #expect(throws: APIError.self) { try create(("system", .string(String(repeating: "a", count: 100_001)))) }
        #expect(long?.message == "agent.agent_with_overrides.config.system: must be at most 100000 characters")
        #expect(try create(("system", .string(String(repeating: "𝒂", count: 50_001)))).agent.overrides?.system != nil)
        #expect(try create(("system", .null)).agent.overrides?.system == .some(nil), "null clears")
        #expect(try create(("version", 3)).agent.overrides?.system == nil, "left out inherits")
    }

    @Test(arguments: ["resources", "vault_ids"]) func unbuiltLists(key: String) throws {
        let base: JSONObject = ["agent": agent, "environment_id": "env_1"]
        _ = try SessionCreateParams(.object(base.merging((key, []))))
        let error = #expect(throws: APIError.self) { try SessionCreateParams(.object(base.merging((key, [[:]])))) }
        #expect(error?.message == "\(key) is not built yet in this version of Postern.")
    }

    @Test func initialEvents() throws {
        let error = #expect(throws: APIError.self) {
            try SessionCreateParams(["agent": agent, "environment_id": "e", "initial_events": [["type": "user.interrupt"]]])
        }
        #expect(error?.message == #"Failed to parse request: initial_events[0].type: "user.interrupt" is not a valid value"#)
        let many = JSON.array(Array(repeating: ["type": "user.message", "content": [["type": "text", "text": "a"]]], count: 51))
        #expect(throws: APIError.self) { try SessionCreateParams(["agent": agent, "environment_id": "e", "initial_events": many]) }
    }

    @Test func update() throws {
        #expect(#expect(throws: APIError.self) { try SessionUpdateParams(["vault_ids": []]) }?.message == "vault_ids: Not yet supported")
        let params = try SessionUpdateParams(["title": .null, "metadata": ["a": .null], "agent": ["tools": []]])
        #expect(params.title == .some(nil) && params.metadata == ["a": .null] && params.tools == [] && params.mcpServers == nil)
        #expect(try SessionUpdateParams([:]).title == nil)
        #expect(throws: APIError.self) { try SessionUpdateParams(["agent": ["model": "m"]]) }
    }

    @Test func malformedAgentID() {
        for id: JSON in ["agent_1", "sesn_011CZkZAtmR3yMPDzynEDxu7", ""] {
            let error = #expect(throws: APIError.self) { try SessionCreateParams(["agent": id, "environment_id": "e"]) }
            #expect(error?.message == "Invalid agent ID.")
        }
    }
}

extension JSONObject {
    fileprivate func merging(_ pair: (String, JSON)) -> JSONObject {
        var copy = self
        copy[pair.0] = pair.1
        return copy
    }
}
