import PosternJSON

/// Environments (contract, section 2.2).
extension ManagedAgentsClient {
    package func createEnvironment(_ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/environments", body: .object(body)).object()
    }

    package func environment(_ id: String) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/environments/\(id)").object()
    }

    package func updateEnvironment(_ id: String, _ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/environments/\(id)", body: .object(body)).object()
    }

    package func deleteEnvironment(_ id: String) async throws(ClientError) -> JSONObject {
        try await request(.delete, "/v1/environments/\(id)").object()
    }
}
