import ManagedAgentsAPI
import PosternJSON

/// Session events: send, list, stream (contract, section 4).
extension ManagedAgentsClient {
    /// Sends events given as JSON; returns them as the service stored them.
    package func sendEvents(
        session id: String, _ events: [JSON], options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> [JSON] {
        let answer = try await request(.post, "/v1/sessions/\(id)/events", body: ["events": .array(events)], options: call)
        // `data` may be absent; what counts is the 2xx.
        return (try? answer.json())?["data"]?.array ?? []
    }

    package func sendEvents(
        session id: String, _ events: [ClientEvent], options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> [JSON] {
        try await sendEvents(
            session: id,
            events.map { event in
                var object: JSONObject = ["type": .string(event.type)]
                for (key, value) in event.fields { object[key] = value }
                return .object(object)
            }, options: call)
    }

    /// `query` takes `order`, `types[]`, `created_at[…]`, `limit`, `page`.
    package func events(
        session id: String, query: RequestQuery = ["limit": "1000"], options call: CallOptions = CallOptions()
    ) async throws(ClientError) -> ListPage {
        try await page("/v1/sessions/\(id)/events", query: query, options: call)
    }

    /// Opens the live stream. It carries only what happens after it opened, unless `after` names the last SSE id that was seen and
    /// the service knows resumption (Postern does). `deltas` asks for previews: `agent.message`, `agent.thinking`.
    package func streamEvents(
        session id: String, deltas: [String] = [], after cursor: String? = nil
    ) async throws(ClientError) -> EventStream {
        var query: RequestQuery = [:]
        query.add("event_deltas", list: deltas)
        var call = CallOptions()
        if let cursor { call.headers["Last-Event-ID"] = cursor }
        let response = try await open(
            .get, "/v1/sessions/\(id)/events/stream", query: query, bytes: [], options: call)
        return EventStream(body: response.body, headers: response.headers, frameLimit: options.maximumFrame)
    }
}
