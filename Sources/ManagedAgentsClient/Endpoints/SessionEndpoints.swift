import PosternJSON

/// Sessions (contract, section 2.4) and their threads (2.6).
extension ManagedAgentsClient {
    package func createSession(_ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions", body: .object(body)).object()
    }

    /// `query` takes `agent_id`, `agent_version`, `statuses[]`, `include_archived`, `order`, `created_at[…]`, `limit`, `page`.
    package func listSessions(query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/v1/sessions", query: query)
    }

    package func session(_ id: String, options call: CallOptions = CallOptions()) async throws(ClientError) -> JSONObject {
        try await request(.get, "/v1/sessions/\(id)", options: call).object()
    }

    package func updateSession(_ id: String, _ body: JSONObject) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions/\(id)", body: .object(body)).object()
    }

    package func archiveSession(_ id: String) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions/\(id)/archive").object()
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

    package func archiveThread(_ threadID: String, session id: String) async throws(ClientError) -> JSONObject {
        try await request(.post, "/v1/sessions/\(id)/threads/\(threadID)/archive").object()
    }

    package func threadEvents(_ threadID: String, session id: String, query: RequestQuery = [:]) async throws(ClientError) -> ListPage {
        try await page("/v1/sessions/\(id)/threads/\(threadID)/events", query: query)
    }

    /// Mind the path: `/stream`, not `/events/stream`.
    package func streamThread(
        _ threadID: String, session id: String, deltas: [String] = [], after cursor: String? = nil
    ) async throws(ClientError) -> EventStream {
        try await stream("/v1/sessions/\(id)/threads/\(threadID)/stream", deltas: deltas, after: cursor)
    }
}
