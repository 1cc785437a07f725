import PosternJSON

/// Sessions (contract, section 2.4) and their threads (2.6).
extension ManagedAgentsClient {
    package func createSession(_ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions", body: .object(body)).object()
    }

    package func session(_ id: String, options call: CallOptions = CallOptions()) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/sessions/\(id)", options: call).object()
    }

    package func updateSession(_ id: String, _ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions/\(id)", body: .object(body)).object()
    }

    package func deleteSession(_ id: String) async throws(ClientError) -> JSONObject {
        try await request(.delete, "/v1/sessions/\(id)").object()
    }

    package func threads(session id: String, query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/v1/sessions/\(id)/threads", query: query)
    }

    package func thread(_ threadID: String, session id: String) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/sessions/\(id)/threads/\(threadID)").object()
    }
}
