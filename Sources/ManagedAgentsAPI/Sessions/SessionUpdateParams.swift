import PosternJSON

/// `POST /v1/sessions/{id}` (contract section 2.4).
package struct SessionUpdateParams: Sendable, Equatable {
    /// The inner nil clears.
    package var title: String??
    /// Key → string, or null to delete.
    package var metadata: JSONObject
    package var tools: [JSON]?
    package var mcpServers: [JSON]?

    package init(_ body: JSON) throws(APIError) {
        let object = try WireObject(body, at: WirePath(), allowing: ["title", "metadata", "agent", "budget", "vault_ids"])
        if object.contains("vault_ids") { throw .invalid("vault_ids: Not yet supported") }
        if object.value("budget") != nil {
            throw .invalid("budget: a budget cannot be added to a session that was created without one (budget_create_only)")
        }
        if object.contains("title") { title = .some(try object.string("title", maximum: 512)) }
        metadata = try Metadata.patch(object) ?? [:]
        guard let json = object.value("agent") else { return }
        let agent = try WireObject(json, at: WirePath("agent"), allowing: ["tools", "mcp_servers"])
        if agent.contains("tools") { tools = try ToolParams.resolve(try agent.array("tools") ?? [], at: agent.path.key("tools")) }
        if agent.contains("mcp_servers") {
            mcpServers = try MCPServerParams.resolve(try agent.array("mcp_servers") ?? [], at: agent.path.key("mcp_servers"))
        }
    }

    /// Checks the new tools and servers against what the session keeps.
    package func check(against agent: JSONObject) throws(APIError) {
        guard tools != nil || mcpServers != nil else { return }
        try MCPServerParams.check(
            tools: tools ?? agent["tools"]?.array ?? [], servers: mcpServers ?? agent["mcp_servers"]?.array ?? [], at: WirePath("agent"))
    }
}
