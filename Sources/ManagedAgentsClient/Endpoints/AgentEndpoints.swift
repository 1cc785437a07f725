import PosternJSON

/// Agents and their versions (contract, section 2.1).
extension ManagedAgentsClient {
    package func createAgent(_ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/agents", body: .object(body)).object()
    }

    package func agent(_ id: String, version: Int? = nil) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/agents/\(id)", query: ["version": version.map(String.init)]).object()
    }

    package func updateAgent(_ id: String, _ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/agents/\(id)", body: .object(body)).object()
    }

    package func archiveAgent(_ id: String) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/agents/\(id)/archive").object()
    }

    package func agentVersions(_ id: String, query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/v1/agents/\(id)/versions", query: query)
    }
}
