import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTunnelWire

/// `/v1/agents` (contract section 2.1).
struct AgentRoutes {
    let agents: AgentService

    var routes: [Route] {
        let agents = agents
        return [
            Route(.post, "/v1/agents", .client(.developer), "Create an agent", takesBody: true) { call async throws(APIError) in
                .json(try await agents.create(try AgentParams(try await call.body()), workspaceID: try call.workspaceID()).json)
            },
            Route(
                .get, "/v1/agents", .client(.viewer), "List agents",
                query: ["include_archived", "created_at[gte]", "created_at[lte]", "limit", "page"]
            ) { call async throws(APIError) in
                let workspace = try call.workspaceID()
                let list = "agents:" + workspace
                let page = try await agents.agents(
                    workspaceID: workspace, includeArchived: try call.query.bool("include_archived") ?? false,
                    createdAt: try call.query.range("created_at"),
                    from: try call.query.position(list, .descending), limit: try call.query.limit(default: 20, maximum: 100))
                return page.answer(list, last: .omitted) { $0.json.encoded }
            },
            Route(.get, "/v1/agents/{agent_id}", .client(.viewer), "Get an agent", query: ["version"]) { call async throws(APIError) in
                .json(
                    try await agents.agent(
                        try call.parameter("agent_id"), version: try call.query.int("version"), workspaceID: try call.workspaceID()
                    ).json)
            },
            Route(.post, "/v1/agents/{agent_id}", .client(.developer), "Update an agent", takesBody: true) { call async throws(APIError) in
                let id = try call.parameter("agent_id")
                guard ResourceID.isWellFormed(id, .agent) else { throw .invalid("Invalid agent ID.") }
                return .json(try await agents.update(id, try AgentPatch(try await call.body()), workspaceID: try call.workspaceID()).json)
            },
            Route(.post, "/v1/agents/{agent_id}/archive", .client(.developer), "Archive an agent") { call async throws(APIError) in
                .json(try await agents.archive(try call.parameter("agent_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.get, "/v1/agents/{agent_id}/versions", .client(.viewer), "List an agent's versions", query: ["limit", "page"]) {
                call async throws(APIError) in
                let id = try call.parameter("agent_id")
                let list = "agent_versions:" + id
                let page = try await agents.versions(
                    id, workspaceID: try call.workspaceID(), from: try call.query.position(list, .descending),
                    limit: try call.query.limit(default: 20, maximum: 100))
                return page.answer(list, last: .omitted) { $0.json.encoded }
            },
            // What a connector's `callers` pin: sessions without overrides have it in their certificates.
            Route(
                .get, "/postern/v1/agents/{agent_id}/configuration_digest", .client(.viewer), "Get the digest of an agent's configuration",
                query: ["version"]
            ) { call async throws(APIError) in
                let agent = try await agents.agent(
                    try call.parameter("agent_id"), version: try call.query.int("version"), workspaceID: try call.workspaceID())
                return .json(
                    [
                        "agent_id": .string(agent.id), "version": JSON(agent.version),
                        "configuration_digest": .string(ConfigurationDigest.text(of: agent.body)),
                    ] as JSONObject)
            },
        ]
    }
}
