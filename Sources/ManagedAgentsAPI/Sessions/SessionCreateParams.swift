import PosternJSON

/// `POST /v1/sessions` (contract sections 2.4 and 3.7).
package struct SessionCreateParams: Sendable, Equatable {
    package var agent: AgentChoice
    package var environmentID: String
    package var title: String?
    package var metadata: JSONObject
    package var initialEvents: [ClientEvent]

    package init(_ body: JSON) throws(APIError) {
        let object = try WireObject(
            body, at: WirePath(),
            allowing: ["agent", "environment_id", "title", "metadata", "resources", "vault_ids", "initial_events", "budget"])
        agent = try AgentChoice(try object.required("agent"), at: WirePath("agent"))
        environmentID = try object.requiredString("environment_id", maximum: 256)
        title = try object.string("title", maximum: 512)
        metadata = try Metadata.create(object)
        initialEvents = try ClientEventParams.initial(try object.array("initial_events", maximum: 50) ?? [], at: WirePath("initial_events"))
        if let resources = try object.array("resources", maximum: 500), !resources.isEmpty { throw Limits.notBuilt("resources") }
        if let vaults = try object.array("vault_ids", maximum: 50), !vaults.isEmpty { throw Limits.notBuilt("vault_ids") }
        if object.value("budget") != nil { throw Limits.notBuilt("budget") }
    }
}

/// Which agent a session is to run, and how it differs from the stored one.
package struct AgentChoice: Sendable, Equatable {
    package var id: String
    /// Nil for the newest.
    package var version: Int?
    package var overrides: AgentOverrides?

    package init(_ json: JSON, at path: WirePath) throws(APIError) {
        if let id = json.string {
            self.id = id
        } else {
            let type = try WireObject.type(of: json, at: path)
            switch type {
            case "agent":
                let object = try WireObject(json, at: path.variant("agent"), allowing: ["type", "id", "version"])
                id = try object.requiredString("id", maximum: 256)
                version = try object.int("version")
            case "agent_with_overrides":
                let object = try WireObject(
                    json, at: path.variant("agent_with_overrides"),
                    allowing: ["type", "id", "version", "model", "system", "tools", "mcp_servers", "skills"])
                id = try object.requiredString("id", maximum: 256)
                version = try object.int("version")
                overrides = try AgentOverrides(object)
            default: throw WireObject.notAChoice(type, at: path.key("type"), ["agent", "agent_with_overrides"])
            }
        }
        guard ResourceID.isWellFormed(id, .agent) else { throw .invalid("Invalid agent ID.") }
        if let version, version < 1 { throw .invalid("\(path.key("version").dotted): must be at least 1") }
    }
}

/// The replaced parts of an `agent_with_overrides`: each value replaces the whole, nothing is merged.
package struct AgentOverrides: Sendable, Equatable {
    package var model: ModelParams?
    /// The inner nil clears.
    package var system: String??
    package var tools: [JSON]?
    package var mcpServers: [JSON]?

    init(_ object: WireObject) throws(APIError) {
        let path = object.path.key("config")
        if object.contains("model") { model = try ModelParams(try object.required("model"), at: path.key("model")) }
        if object.contains("system") {
            let text = try object.string("system")
            if let text, text.unicodeScalars.count > AgentParams.systemLength {
                throw .invalid("\(path.key("system").dotted): must be at most \(AgentParams.systemLength) characters")
            }
            system = .some(text)
        }
        if object.contains("tools") { tools = try ToolParams.resolve(try object.array("tools") ?? [], at: path.key("tools")) }
        if object.contains("mcp_servers") {
            mcpServers = try MCPServerParams.resolve(try object.array("mcp_servers") ?? [], at: path.key("mcp_servers"))
        }
        if let skills = try object.array("skills"), !skills.isEmpty { throw Limits.notBuilt("skills") }
    }

    /// - Parameter snapshot: The base agent's.
    package func applied(to snapshot: JSONObject) throws(APIError) -> JSONObject {
        var agent = snapshot
        if let model { agent["model"] = model.resolved() }
        if let system { agent["system"] = AgentParams.text(system) }
        if let tools { agent["tools"] = .array(tools) }
        if let mcpServers { agent["mcp_servers"] = .array(mcpServers) }
        if tools != nil || mcpServers != nil {
            try MCPServerParams.check(tools: agent["tools"]?.array ?? [], servers: agent["mcp_servers"]?.array ?? [], at: WirePath("agent"))
        }
        return agent
    }
}
