import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// Keys and workspaces, which the reference has no API for: `/postern/v1/…`.
struct KeyRoutes {
    let keys: KeyService

    var routes: [Route] { environmentKeys + apiKeys + workspaces }

    private var environmentKeys: [Route] {
        let keys = keys
        let root = "/postern/v1/environments/{environment_id}/keys"
        return [
            Route(.post, root, .client(.admin), "Create an environment key; its secret is shown once", takesBody: true) {
                call async throws(APIError) in
                let params = try KeyParams(try await call.optionalBody() ?? [:], allowing: ["name", "expires_at"])
                let (key, secret) = try await keys.createEnvironmentKey(
                    name: params.name ?? "worker", environmentID: try call.parameter("environment_id"), workspaceID: try call.workspaceID(),
                    expiresAt: params.expiresAt)
                return Self.created(key, secret)
            },
            Route(.get, root, .client(.admin), "List an environment's keys", query: ["limit", "page"]) { call async throws(APIError) in
                let environment = try call.parameter("environment_id")
                let list = "environment_keys:" + environment
                let page = try await keys.keys(
                    workspaceID: try call.workspaceID(), kind: .environment, environmentID: environment,
                    from: try call.query.position(list, .descending),
                    limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { JSON.object($0.json).encoded }
            },
            Route(.delete, root + "/{key_id}", .client(.admin), "Revoke an environment key") { call async throws(APIError) in
                let key = try await keys.key(
                    try call.parameter("key_id"), kind: .environment, workspaceID: try call.workspaceID(),
                    environmentID: try call.parameter("environment_id"))
                return .json(try await keys.revoke(key).json)
            },
        ]
    }

    private var apiKeys: [Route] {
        let keys = keys
        return [
            Route(.post, "/postern/v1/keys", .client(.admin), "Create an API key; its secret is shown once", takesBody: true) {
                call async throws(APIError) in
                let params = try KeyParams(try await call.body(), allowing: ["name", "role", "expires_at", "workspace_id"])
                guard let role = params.role else { throw .invalid("role: Field required") }
                guard let name = params.name else { throw .invalid("name: Field required") }
                let workspace = try await workspace(call, params.workspaceID)
                if role == .edge { try await checkEdge(call, workspace) }
                let (key, secret) = try await keys.createAPIKey(name: name, role: role, workspaceID: workspace, expiresAt: params.expiresAt)
                return Self.created(key, secret)
            },
            Route(.get, "/postern/v1/keys", .client(.admin), "List API keys", query: ["workspace_id", "limit", "page"]) {
                call async throws(APIError) in
                let workspace = try await workspace(call, call.query.string("workspace_id"))
                let list = "keys:" + workspace
                let page = try await keys.keys(
                    workspaceID: workspace, kind: .api, from: try call.query.position(list, .descending),
                    limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { JSON.object($0.json).encoded }
            },
            Route(.get, "/postern/v1/keys/{key_id}", .client(.admin), "Get an API key, without its secret") { call async throws(APIError) in
                .json(try await apiKey(call).json)
            },
            Route(.delete, "/postern/v1/keys/{key_id}", .client(.admin), "Revoke an API key") { call async throws(APIError) in
                .json(try await keys.revoke(try await apiKey(call)).json)
            },
        ]
    }

    /// The key of the path, if the caller may act on it.
    private func apiKey(_ call: Call) async throws(APIError) -> KeyRecord {
        let isOperator = try await isOperator(call)
        return try await keys.key(try call.parameter("key_id"), kind: .api, workspaceID: isOperator ? nil : try call.workspaceID())
    }

    private var workspaces: [Route] {
        let keys = keys
        return [
            Route(.post, "/postern/v1/workspaces", .client(.admin), "Create a workspace", takesBody: true) { call async throws(APIError) in
                let params = try KeyParams(try await call.body(), allowing: ["name"])
                guard let name = params.name else { throw .invalid("name: Field required") }
                guard try await isOperator(call) else { throw Self.onlyOperator }
                return .json(try await keys.createWorkspace(name: name).json)
            },
            Route(.get, "/postern/v1/workspaces", .client(.admin), "List workspaces") { call async throws(APIError) in
                let own = try call.workspaceID()
                let sees = try await isOperator(call)
                let all = try await keys.workspaces().filter { sees || $0.id == own }
                return .page(all.map(\.json.encoded), next: nil, last: .null)
            },
        ]
    }

    private static let onlyOperator = APIError.forbidden("Only an admin key of the first workspace may act on other workspaces.")

    private static func created(_ key: KeyRecord, _ secret: String) -> Answer {
        var json = key.json
        json["secret"] = .string(secret)
        return .json(json)
    }

    private func isOperator(_ call: Call) async throws(APIError) -> Bool {
        guard case .apiKey(let key) = try call.caller() else { return false }
        return try await keys.isOperator(key)
    }

    /// An edge sees the tunnels of every workspace, so its key is made by the operator, in the operator's own workspace.
    private func checkEdge(_ call: Call, _ workspace: String) async throws(APIError) {
        guard try await isOperator(call), try call.workspaceID() == workspace else {
            throw .forbidden("Only an admin key of the first workspace may make keys with the role edge, and only in that workspace.")
        }
    }

    /// The caller's workspace, or the named one if the caller may act on it.
    private func workspace(_ call: Call, _ wanted: String?) async throws(APIError) -> String {
        let own = try call.workspaceID()
        guard let wanted, wanted != own else { return own }
        guard try await isOperator(call) else { throw Self.onlyOperator }
        return try await keys.workspace(wanted).id
    }
}

/// Bodies of the key routes.
struct KeyParams: Sendable {
    var name: String?
    var role: KeyRecord.Role?
    var expiresAt: Timestamp?
    var workspaceID: String?

    init(_ body: JSON, allowing keys: Set<String>) throws(APIError) {
        let object = try PlainObject(body, allowing: keys)
        name = try object.string("name")
        if let name, name.isEmpty || name.unicodeScalars.count > 256 { throw .invalid("name: must have 1 to 256 characters") }
        if let text = try object.string("role") {
            guard let role = KeyRecord.Role(rawValue: text) else { throw .invalid("role: Input should be 'admin', 'developer', 'viewer' or 'edge'") }
            self.role = role
        }
        if let text = try object.string("expires_at") {
            guard let time = Timestamp(text) else { throw .invalid("expires_at: Input should be a valid datetime") }
            expiresAt = time
        }
        workspaceID = try object.string("workspace_id")
    }
}
