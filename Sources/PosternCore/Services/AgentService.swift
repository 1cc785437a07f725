import ManagedAgentsAPI
import PosternJSON

/// Agents and their versions (contract section 2.1).
package final class AgentService: Sendable {
    private let store: any AgentStore
    private let choosesGeo: Bool
    private let now: @Sendable () -> Timestamp

    /// - Parameter choosesGeo: Whether the model service can be told where to run a model (`model.inference_geo`).
    package init(store: any AgentStore, choosesGeo: Bool = true, now: @escaping @Sendable () -> Timestamp = { .now() }) {
        self.store = store
        self.choosesGeo = choosesGeo
        self.now = now
    }

    /// Where data may be worked on is a promise: one that cannot be kept is not taken.
    private func checkGeo(_ agent: JSONObject) throws(APIError) {
        guard !choosesGeo, let geo = agent["model"]?["inference_geo"]?.string else { return }
        throw .invalid(
            "model.inference_geo: \"\(geo)\" cannot be asked of this server's model provider, which speaks OpenAI Chat Completions; leave it out")
    }

    package func create(_ params: AgentParams, workspaceID: String) async throws(APIError) -> AgentRecord {
        let time = now()
        let id = ResourceID.make(.agent)
        let body = params.body(id: id, now: time)
        try checkGeo(body)
        let record = AgentRecord(id: id, workspaceID: workspaceID, version: 1, body: body, createdAt: time, updatedAt: time)
        try await stored { () async throws(StoreError) in try await store.create(record) }
        return record
    }

    /// The newest version, or the one named.
    /// - Throws: 400 for an id that is none, 404 for one that names nothing in the workspace.
    package func agent(_ id: String, version: Int? = nil, workspaceID: String) async throws(APIError) -> AgentRecord {
        guard ResourceID.isWellFormed(id, .agent) else { throw .invalid("Invalid agent ID.") }
        if let version, version < 1 { throw .invalid("version: must be at least 1") }
        let record = try await stored { () async throws(StoreError) in try await store.agent(id, version: version) }
        guard let record, record.workspaceID == workspaceID else {
            throw .notFound(version.map { "Agent \(id) version \($0) not found." } ?? "Agent \(id) not found.")
        }
        return record
    }

    package func agents(
        workspaceID: String, includeArchived: Bool, createdAt: TimeRange, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<AgentRecord> {
        try await stored { () async throws(StoreError) in
            try await store.agents(workspaceID: workspaceID, includeArchived: includeArchived, createdAt: createdAt, from: position, limit: limit)
        }
    }

    package func versions(_ id: String, workspaceID: String, from position: PagePosition?, limit: Int) async throws(APIError) -> Page<AgentRecord> {
        _ = try await agent(id, workspaceID: workspaceID)
        return try await stored { () async throws(StoreError) in try await store.agentVersions(id, from: position, limit: limit) }
    }

    /// Stores a new version, or nothing when the patch changes nothing.
    package func update(_ id: String, _ patch: AgentPatch, workspaceID: String) async throws(APIError) -> AgentRecord {
        while true {
            let current = try await agent(id, workspaceID: workspaceID)
            if current.archivedAt != nil { throw .invalid("Agent \(id) is archived and cannot be updated.") }
            if let version = patch.version, version != current.version {
                throw .conflict("Agent \(id) is at version \(current.version), not \(version). Read it again and apply the change to that.")
            }
            var body = try patch.applied(to: current.body)
            guard body != current.body else { return current }
            try checkGeo(body)
            var next = current
            next.version += 1
            next.updatedAt = max(now(), current.updatedAt)
            body["version"] = JSON(next.version)
            body["updated_at"] = .string(next.updatedAt.description)
            next.body = body
            do {
                try await store.addVersion(next)
                return next
            } catch .conflict {
                continue  // somebody else's version came first; the guard above decides anew
            } catch {
                throw error.apiError
            }
        }
    }

    /// Final. Sessions that run the agent go on.
    package func archive(_ id: String, workspaceID: String) async throws(APIError) -> AgentRecord {
        let current = try await agent(id, workspaceID: workspaceID)
        if current.archivedAt != nil { return current }
        let time = now()
        try await stored { () async throws(StoreError) in try await store.archiveAgent(id, at: time) }
        return try await agent(id, workspaceID: workspaceID)
    }

    /// The snapshot that a new session runs with, overrides applied.
    package func snapshot(
        _ choice: AgentChoice, workspaceID: String
    ) async throws(APIError) -> (agent: JSONObject, id: String, version: Int) {
        let record = try await agent(choice.id, version: choice.version, workspaceID: workspaceID)
        if record.archivedAt != nil { throw .invalid("Agent \(record.id) is archived.") }
        let snapshot = AgentSnapshot.make(from: record.body)
        let agent = try choice.overrides?.applied(to: snapshot) ?? snapshot
        try checkGeo(agent)
        return (agent, record.id, record.version)
    }
}
