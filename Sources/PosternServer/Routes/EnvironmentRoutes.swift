import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// `/v1/environments` (contract section 2.2).
struct EnvironmentRoutes {
    let environments: EnvironmentService

    var routes: [Route] {
        let environments = environments
        return [
            Route(.post, "/v1/environments", .client(.developer), "Create an environment", takesBody: true) { call async throws(APIError) in
                .json(try await environments.create(try .create(try await call.body()), workspaceID: try call.workspaceID()).json)
            },
            Route(.get, "/v1/environments", .client(.viewer), "List environments", query: ["include_archived", "limit", "page"]) {
                call async throws(APIError) in
                let workspace = try call.workspaceID()
                let list = "environments:" + workspace
                let page = try await environments.environments(
                    workspaceID: workspace, includeArchived: try call.query.bool("include_archived") ?? false,
                    from: try call.query.position(list, .descending), limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { $0.json.encoded }
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
                try await environments.delete(id, force: try call.query.bool("force") ?? false, workspaceID: try call.workspaceID())
                return .json(["id": .string(id), "type": "environment_deleted"] as JSONObject)
            },
        ]
    }
}
