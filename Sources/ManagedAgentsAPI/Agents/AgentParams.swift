import PosternJSON

/// `POST /v1/agents`, validated and resolved (contract section 2.1).
package struct AgentParams: Sendable, Equatable {
    package var name: String
    package var model: ModelParams
    package var description: String?
    package var system: String?
    package var tools: [JSON]
    package var mcpServers: [JSON]
    package var metadata: JSONObject

    static let keys: Set<String> = [
        "name", "model", "description", "system", "tools", "mcp_servers", "skills", "multiagent", "execution_identity", "metadata",
    ]
    static let systemLength = 100_000

    package init(_ body: JSON) throws(APIError) {
        let object = try WireObject(body, at: WirePath(), allowing: Self.keys)
        name = try object.requiredString("name", maximum: 256)
        model = try ModelParams(try object.required("model"), at: WirePath("model"))
        description = try object.string("description", maximum: 2048)
        system = try object.string("system", maximum: Self.systemLength)
        tools = try ToolParams.resolve(try object.array("tools") ?? [], at: WirePath("tools"))
        mcpServers = try MCPServerParams.resolve(try object.array("mcp_servers") ?? [], at: WirePath("mcp_servers"))
        try MCPServerParams.check(tools: tools, servers: mcpServers)
        metadata = try Metadata.create(object)
        try UnbuiltAgentParts.refuse(object)
    }

    /// The agent as it is answered, but for `archived_at`.
    package func body(id: String, now: Timestamp) -> JSONObject {
        [
            "id": .string(id), "type": "agent", "version": 1, "name": .string(name), "description": AgentParams.text(description),
            "system": AgentParams.text(system), "model": model.resolved(), "tools": .array(tools), "mcp_servers": .array(mcpServers), "skills": [],
            "multiagent": .null, "execution_identity": ["type": "service_account"], "metadata": .object(metadata),
            "created_at": .string(now.description), "updated_at": .string(now.description),
        ]
    }

    /// `""` clears as null does.
    static func text(_ text: String?) -> JSON { text.map { $0.isEmpty ? .null : .string($0) } ?? .null }
}

/// Parts of an agent's configuration that Postern knows and does not serve.
enum UnbuiltAgentParts {
    static func refuse(_ object: WireObject) throws(APIError) {
        if let skills = try object.array("skills", maximum: 20), !skills.isEmpty { throw Limits.notBuilt("skills") }
        if let multiagent = object.value("multiagent") { try refuseMultiagent(multiagent, object.path.key("multiagent")) }
        guard let identity = object.value("execution_identity") else { return }
        let place = object.path.key("execution_identity")
        switch try WireObject.type(of: identity, at: place) {
        case "service_account": _ = try WireObject(identity, at: place, allowing: ["type"])
        case "aws_role": throw Limits.notBuilt("execution_identity of type aws_role")
        case let type: throw WireObject.notAChoice(type, at: place.key("type"), ["service_account", "aws_role"])
        }
    }

    /// The roster is checked as far as the reference's refusals are known, then the whole is refused.
    private static func refuseMultiagent(_ json: JSON, _ path: WirePath) throws(APIError) {
        switch try WireObject.type(of: json, at: path) {
        case "coordinator":
            let object = try WireObject(json, at: path.variant("coordinator"), allowing: ["type", "agents"])
            let agents = try object.array("agents", maximum: 20) ?? []
            guard !agents.isEmpty else { throw .invalid("\(object.path.key("agents").dotted): must contain at least 1 item") }
            var selves = 0
            for (index, entry) in agents.enumerated() {
                if entry["type"] == "self" {
                    selves += 1
                    if selves > 1 { throw .invalid("\(path.key("agents").index(index).dotted): at most one {\"type\":\"self\"} entry is allowed") }
                } else if let id = entry.string ?? (entry["type"] == "agent" ? entry["id"]?.string : nil), !ResourceID.isWellFormed(id, .agent) {
                    throw .invalid("Agent has invalid configuration: subagent \(id) is not a valid agent ID")
                }
            }
        case "multiagent_20261001": break
        case let type: throw WireObject.notAChoice(type, at: path.key("type"), ["coordinator", "multiagent_20261001"])
        }
        throw Limits.notBuilt("multiagent")
    }
}
