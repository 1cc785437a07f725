import ManagedAgentsAPI
import PosternJSON

/// Self-hosted environments (contract section 2.2).
package final class EnvironmentService: Sendable {
    private let store: any EnvironmentStore & WorkStore
    private let now: @Sendable () -> Timestamp

    package init(store: any EnvironmentStore & WorkStore, now: @escaping @Sendable () -> Timestamp = { .now() }) {
        self.store = store
        self.now = now
    }

    /// - Parameter params: Of a create request, so with a name and without `cloud`.
    package func create(_ params: EnvironmentParams, workspaceID: String) async throws(APIError) -> EnvironmentRecord {
        let time = now()
        let id = ResourceID.make(.environment)
        let name = params.name ?? ""
        let metadata = params.metadata ?? [:]
        try PosternMetadata.check(environment: metadata)
        let body: JSONObject = [
            "id": .string(id), "type": "environment", "name": .string(name), "description": JSON(params.description ?? nil),
            "config": ["type": "self_hosted"], "metadata": .object(metadata), "scope": "organization", "created_at": .string(time.description),
            "updated_at": .string(time.description),
        ]
        let record = EnvironmentRecord(id: id, workspaceID: workspaceID, name: name, body: body, createdAt: time, updatedAt: time)
        try await write(name) { () async throws(StoreError) in try await store.create(record) }
        return record
    }

    package func environment(_ id: String, workspaceID: String) async throws(APIError) -> EnvironmentRecord {
        let record = try await stored { () async throws(StoreError) in try await store.environment(id) }
        guard let record, record.workspaceID == workspaceID else { throw .notFound("Environment \(id) not found.") }
        return record
    }

    package func environments(
        workspaceID: String, includeArchived: Bool, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<EnvironmentRecord> {
        try await stored { () async throws(StoreError) in
            try await store.environments(workspaceID: workspaceID, includeArchived: includeArchived, from: position, limit: limit)
        }
    }

    package func update(_ id: String, _ params: EnvironmentParams, workspaceID: String) async throws(APIError) -> EnvironmentRecord {
        var record = try await environment(id, workspaceID: workspaceID)
        if record.archivedAt != nil {
            throw .invalid("Environment \(id) is archived and cannot be updated.", details: ["error_code": "environment_archived"])
        }
        if params.configType == "cloud" {
            throw .invalid("Cannot change environment type from BYOC to Cloud", details: ["error_code": "invalid_config_type_change"])
        }
        if let name = params.name {
            record.name = name
            record.body["name"] = .string(name)
        }
        if let description = params.description { record.body["description"] = JSON(description) }
        if let patch = params.metadata {
            let metadata = try Metadata.merged(record.body["metadata"]?.object ?? [:], patch, emptyDeletes: true)
            try PosternMetadata.check(environment: metadata)
            record.body["metadata"] = .object(metadata)
        }
        record.updatedAt = max(now(), record.updatedAt)
        record.body["updated_at"] = .string(record.updatedAt.description)
        let changed = record
        try await write(record.name) { () async throws(StoreError) in try await store.update(changed) }
        return record
    }

    /// Takes no new sessions from now on; its queue drains.
    package func archive(_ id: String, workspaceID: String) async throws(APIError) -> EnvironmentRecord {
        var record = try await environment(id, workspaceID: workspaceID)
        guard record.archivedAt == nil else { return record }
        record.archivedAt = now()
        let archived = record
        try await stored { () async throws(StoreError) in try await store.update(archived) }
        return record
    }

    /// - Parameter force: Deletes in spite of queued work. Sessions must have been archived all the same; archived ones stay readable.
    package func delete(_ id: String, force: Bool, workspaceID: String) async throws(APIError) {
        _ = try await environment(id, workspaceID: workspaceID)
        if !force {
            let queue = try await stored { () async throws(StoreError) in try await store.workStatistics(environmentID: id) }
            guard queue.depth + queue.pending == 0 else {
                throw .conflict(
                    "Cannot delete self-hosted environment with work in the queue. Either archive the environment first to allow the queue to drain, "
                        + "or use force=true to delete immediately.")
            }
            let sessions = try await stored { () async throws(StoreError) in try await store.activeSessionCount(environmentID: id) }
            guard sessions == 0 else {
                throw .conflict("Environment has \(sessions) active sessions. Use force=true to delete anyway.")
            }
        }
        let existed: Bool
        do {
            existed = try await store.deleteEnvironment(id)
        } catch .conflict {
            // A session was created after the count.
            throw .conflict("Environment has active sessions. Use force=true to delete anyway.")
        } catch {
            throw error.apiError
        }
        guard existed else { throw .notFound("Environment \(id) not found.") }
    }

    private func write(_ name: String, _ operation: () async throws(StoreError) -> Void) async throws(APIError) {
        do {
            try await operation()
        } catch .duplicate {
            throw .conflict("An environment named \"\(name)\" exists already in this workspace.")
        } catch {
            throw error.apiError
        }
    }
}
