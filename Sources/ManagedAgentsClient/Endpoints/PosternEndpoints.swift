import PosternJSON

/// Postern's own routes that a worker's operator needs; the rest goes through `request`.
extension ManagedAgentsClient {
    /// The answer holds the key's text once.
    package func createEnvironmentKey(environment id: String, _ body: JSONObject = [:]) async throws(ClientError) -> JSONObject {
        try await request(.post, "/postern/v1/environments/\(id)/keys", body: .object(body)).object()
    }

    package func environmentKeys(environment id: String, query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/postern/v1/environments/\(id)/keys", query: query)
    }
}
