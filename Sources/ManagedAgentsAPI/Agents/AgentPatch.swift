import PosternJSON

/// `POST /v1/agents/{id}` (contract section 2.1): what is left out keeps its value.
package struct AgentPatch: Sendable, Equatable {
    package var name: String?
    package var model: ModelParams?
    /// The inner nil clears.
    package var description: String??
    package var system: String??
    package var tools: [JSON]?
    package var mcpServers: [JSON]?
    package var metadata: JSONObject?
    /// The version that the caller believes to be current.
    package var version: Int?

    package init(_ body: JSON) throws(APIError) {
        let path = WirePath("agent")
        let object = try WireObject(body, at: path, allowing: AgentParams.keys.union(["version"]))
        if object.contains("name") { name = try object.requiredString("name", maximum: 256) }
        if object.contains("model") { model = try ModelParams(try object.required("model"), at: path.key("model")) }
        if object.contains("description") { description = .some(try object.string("description", maximum: 2048)) }
        if object.contains("system") { system = .some(try object.string("system", maximum: AgentParams.systemLength)) }
        if object.contains("tools") { tools = try ToolParams.resolve(try object.array("tools") ?? [], at: path.key("tools")) }
        if object.contains("mcp_servers") {
            mcpServers = try MCPServerParams.resolve(try object.array("mcp_servers") ?? [], at: path.key("mcp_servers"))
        }
        metadata = try Metadata.patch(object)
        version = try object.int("version")
        try UnbuiltAgentParts.refuse(object)
    }

    /// The stored object with the patch applied, version and times untouched.
    package func applied(to stored: JSONObject) throws(APIError) -> JSONObject {
        var body = stored
        if let name { body["name"] = .string(name) }
        if let description { body["description"] = AgentParams.text(description) }
        if let system { body["system"] = AgentParams.text(system) }
        if let model { body["model"] = model.resolved(over: stored["model"]) }
        if let tools { body["tools"] = .array(tools) }
        if let mcpServers { body["mcp_servers"] = .array(mcpServers) }
        if let metadata { body["metadata"] = .object(try Metadata.merged(stored["metadata"]?.object ?? [:], metadata)) }
        if tools != nil || mcpServers != nil {
            try MCPServerParams.check(tools: body["tools"]?.array ?? [], servers: body["mcp_servers"]?.array ?? [], at: WirePath("agent"))
        }
        return body
    }
}
