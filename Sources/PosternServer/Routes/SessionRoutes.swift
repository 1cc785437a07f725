import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTunnelWire

/// `/v1/sessions` (contract section 2.4).
struct SessionRoutes {
    let sessions: SessionService
    let agents: AgentService
    let environments: EnvironmentService

    var routes: [Route] {
        let sessions = sessions
        return [
            Route(.post, "/v1/sessions", .client(.developer), "Create a session", takesBody: true, create),
            Route(
                .get, "/v1/sessions", .client(.viewer), "List sessions",
                query: [
                    "agent_id", "agent_version", "deployment_id", "memory_store_id", "statuses[]", "include_archived", "order", "created_at[gt]",
                    "created_at[gte]", "created_at[lt]", "created_at[lte]", "limit", "page",
                ], list),
            Route(.get, "/v1/sessions/{session_id}", .session(.viewer), "Get a session") { call async throws(APIError) in
                .json(try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.post, "/v1/sessions/{session_id}", .client(.developer), "Update a session", takesBody: true, update),
            Route(.delete, "/v1/sessions/{session_id}", .client(.developer), "Delete a session") { call async throws(APIError) in
                let id = try call.parameter("session_id")
                try await sessions.delete(id, workspaceID: try call.workspaceID())
                return .json(["id": .string(id), "type": "session_deleted"] as JSONObject)
            },
            Route(.post, "/v1/sessions/{session_id}/archive", .client(.developer), "Archive a session") { call async throws(APIError) in
                .json(try await sessions.archive(try call.parameter("session_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.get, "/v1/sessions/{session_id}/resources", .client(.viewer), "List a session's resources", query: ["limit", "page"]) {
                call async throws(APIError) in
                _ = try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID())
                _ = try call.query.limit(default: 1000, maximum: 1000)
                return .page([], next: nil, last: .omitted)
            },
            Route(.post, "/v1/sessions/{session_id}/resources", .client(.developer), "Add a resource", takesBody: true) {
                call async throws(APIError) in
                _ = try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID())
                throw Limits.notBuilt("resources")
            },
            Route(
                .get, "/postern/v1/sessions/{session_id}/configuration_digest", .client(.viewer),
                "Get the digest of the configuration that a session runs with"
            ) { call async throws(APIError) in
                let session = try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID())
                return .json(
                    [
                        "session_id": .string(session.id), "agent_id": .string(session.agentID), "version": JSON(session.agentVersion),
                        "configuration_digest": .string(ConfigurationDigest.text(of: session.agent)),
                    ] as JSONObject)
            },
        ]
            + [HTTPRequest.Method.get, .post, .delete].map { method in
                Route(
                    method, "/v1/sessions/{session_id}/resources/{resource_id}", .client(method == .get ? .viewer : .developer),
                    "\(method == .get ? "Get" : method == .post ? "Update" : "Delete") a resource", takesBody: method == .post
                ) { call async throws(APIError) in
                    _ = try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID())
                    throw .notFound("Resource not found: \(try call.parameter("resource_id"))")
                }
            }
    }

    private func create(_ call: Call) async throws(APIError) -> Answer {
        let params = try SessionCreateParams(try await call.body())
        let workspace = try call.workspaceID()
        let (agent, agentID, version) = try await agents.snapshot(params.agent, workspaceID: workspace)
        let environment: EnvironmentRecord
        do {
            environment = try await environments.environment(params.environmentID, workspaceID: workspace)
        } catch {
            var error = error
            // Here the reference leaves `x-should-retry` out.
            if error.status == 404 { error.shouldRetry = nil }
            throw error
        }
        if environment.archivedAt != nil {
            throw .invalid("Environment \(environment.id) is archived.", details: ["error_code": "environment_archived"])
        }
        let record = try await sessions.create(
            SessionDraft(
                workspaceID: workspace, environmentID: environment.id, agent: agent, agentID: agentID, agentVersion: version, title: params.title,
                metadata: params.metadata, initialEvents: params.initialEvents, createdBy: try call.caller().keyID))
        return .json(record.json)
    }

    private func list(_ call: Call) async throws(APIError) -> Answer {
        let workspace = try call.workspaceID()
        let query = call.query
        var filter = SessionFilter(workspaceID: workspace)
        filter.agentID = query.string("agent_id").flatMap { $0.isEmpty ? nil : $0 }
        filter.agentVersion = try query.int("agent_version")
        for status in query.list("statuses") {
            guard let status = SessionRecord.Status(rawValue: status) else { throw .invalid("statuses: \"\(status)\" is not a valid value") }
            filter.statuses.insert(status)
        }
        filter.includeArchived = try query.bool("include_archived") ?? false
        filter.createdAt = try query.range("created_at")
        let order = try query.choice("order", SortOrder.self) ?? .descending
        let name = "sessions:" + workspace
        let position = try query.position(name, order)
        let limit = try query.limit(default: 20, maximum: 1000)
        // No session has come from a deployment or has a memory store.
        for key in ["deployment_id", "memory_store_id"] where query.string(key).map({ !$0.isEmpty }) == true {
            return .page([], next: nil, last: .omitted)
        }
        let page = try await sessions.sessions(filter, order: order, from: position, limit: limit)
        return page.answer(name, order, last: .omitted, showsPrevious: position != nil) { $0.json.encoded }
    }

    private func update(_ call: Call) async throws(APIError) -> Answer {
        let params = try SessionUpdateParams(try await call.body())
        let id = try call.parameter("session_id")
        let workspace = try call.workspaceID()
        let current = try await sessions.session(id, workspaceID: workspace)
        try params.check(against: current.agent)
        _ = try Metadata.merged(current.metadata, params.metadata)
        let patch = SessionPatch(title: params.title, metadata: params.metadata, tools: params.tools, mcpServers: params.mcpServers)
        return .json(try await sessions.update(id, workspaceID: workspace, patch).json)
    }
}
