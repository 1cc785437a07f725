import PosternJSON

/// Models (contract, section 2.12).
extension ManagedAgentsClient {
    package func models(query: RequestQuery = [:]) async throws(ClientError) -> [JSON] { try await listByID("/v1/models", query: query) }

    package func model(_ id: String) async throws(ClientError) -> JSONObject { try await request(.get, "/v1/models/\(id)").object() }
}
