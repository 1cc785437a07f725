import HTTPTypes
import HummingbirdCore
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// `/v1/environments` (contract section 2.2).
struct EnvironmentRoutes {
    let environments: EnvironmentService
    let sessions: SessionService
    let work: WorkService

    var routes: [Route] {
        let environments = environments
        return [
            Route(.post, "/v1/environments", .client(.developer), "Create an environment", takesBody: true) { call async throws(APIError) in
                .json(try await environments.create(try .create(try await call.body()), workspaceID: try call.workspaceID()).json)
            },
            Route(.get, "/v1/environments", .client(.viewer), "List environments", query: ["after_id", "include_archived", "limit", "page"]) {
                call async throws(APIError) in
                let workspace = try call.workspaceID()
                let list = "environments:" + workspace
                let envelope = EnvironmentPage(beta: call.request.headers[.anthropicBeta])
                var position = try call.query.position(list, .descending)
                if case .november2025 = envelope, let id = call.query.string("after_id"), !id.isEmpty {
                    let last = try await environments.environment(id, workspaceID: workspace)
                    position = PagePosition(major: last.createdAt.microseconds, minor: last.id)
                }
                let page = try await environments.environments(
                    workspaceID: workspace, includeArchived: try call.query.bool("include_archived") ?? false,
                    from: position, limit: try call.query.limit(default: 20, maximum: 1000))
                return envelope.answer(page, list: list)
            },
            Route(.get, "/v1/environments/{environment_id}", .client(.viewer), "Get an environment") { call async throws(APIError) in
                .json(try await environments.environment(try call.parameter("environment_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.post, "/v1/environments/{environment_id}", .client(.developer), "Update an environment", takesBody: true) {
                call async throws(APIError) in
                let id = try call.parameter("environment_id")
                return .json(try await environments.update(id, try .update(try await call.body()), workspaceID: try call.workspaceID()).json)
            },
            Route(.post, "/v1/environments/{environment_id}/archive", .client(.developer), "Archive an environment") { call async throws(APIError) in
                .json(try await environments.archive(try call.parameter("environment_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.delete, "/v1/environments/{environment_id}", .client(.developer), "Delete an environment", query: ["force"]) {
                call async throws(APIError) in
                let id = try call.parameter("environment_id")
                let force = try call.query.bool("force") ?? false
                if force { try await endSessions(of: id, call) }
                try await environments.delete(id, force: force, workspaceID: try call.workspaceID())
                return .json(["id": .string(id), "type": "environment_deleted"] as JSONObject)
            },
        ]
    }

    /// Interrupts and archives every session of an environment that is to be deleted in spite of them. Each has one work item, so the queue
    /// lists them.
    private func endSessions(of id: String, _ call: Call) async throws(APIError) {
        let workspace = try call.workspaceID()
        _ = try await environments.environment(id, workspaceID: workspace)
        var position: PagePosition?
        repeat {
            let page = try await work.list(environmentID: id, from: position, limit: 100)
            for item in page.elements {
                let session = try await sessions.session(item.sessionID, workspaceID: workspace)
                guard session.archivedAt == nil else { continue }
                if session.status == .running || session.status == .rescheduling {
                    _ = try await sessions.send([.interrupt(threadID: nil)], to: session.id, by: try call.caller())
                }
                _ = try await sessions.archive(session.id, workspaceID: workspace)
            }
            position = page.next
        } while position != nil
    }
}
