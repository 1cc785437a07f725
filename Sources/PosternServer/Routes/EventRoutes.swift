import HTTPTypes
import HummingbirdCore
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// A session's events and its threads (contract sections 2.6 and 4).
struct EventRoutes {
    let sessions: SessionService
    let streams: EventStreams
    let maximumEvents: Int

    private static let previewTypes: Set<String> = ["agent.message", "agent.thinking"]
    private static let bounds = ["created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]"]
    /// What a worker's credential may post.
    private static let results: Set<String> = ["user.tool_result", "user.custom_tool_result"]

    var routes: [Route] {
        let root = "/v1/sessions/{session_id}"
        return [
            Route(.post, root + "/events", .session(.developer), "Send events", takesBody: true, send),
            Route(.get, root + "/events", .session(.viewer), "List events", query: ["order", "types[]", "limit", "page"] + Self.bounds, list),
            Route(
                .get, root + "/events/stream", .session(.viewer), "Stream events", query: ["event_deltas[]"], produces: .eventStream, stream),
            Route(.get, root + "/threads", .client(.viewer), "List threads", query: ["statuses[]", "limit", "page"], threads),
            Route(.get, root + "/threads/{thread_id}", .client(.viewer), "Get a thread") { call async throws(APIError) in
                .json(try await thread(call).primaryThread)
            },
            Route(.post, root + "/threads/{thread_id}/archive", .client(.developer), "Archive a thread") { call async throws(APIError) in
                _ = try await thread(call)
                throw .invalid("The primary thread cannot be archived; archive the session instead.")
            },
            Route(.get, root + "/threads/{thread_id}/events", .client(.viewer), "List a thread's events", query: ["limit", "page"]) {
                call async throws(APIError) in
                try await page(call, try await thread(call).id, .init(), .ascending)
            },
            Route(
                .get, root + "/threads/{thread_id}/stream", .client(.viewer), "Stream a thread's events", query: ["event_deltas[]"],
                produces: .eventStream
            ) { call async throws(APIError) in
                _ = try await thread(call)
                return try await stream(call)
            },
        ]
    }

    // MARK: Sending

    private func send(_ call: Call) async throws(APIError) -> Answer {
        let id = try call.parameter("session_id")
        let principal = try call.caller()
        let body = try await call.body()
        if principal.isClient {
            // Another workspace's session is not there, whatever the body says.
            _ = try await sessions.session(id, workspaceID: principal.workspaceID)
        }
        let types = (body["events"]?.array ?? []).map { $0["type"]?.string ?? "" }
        for (index, type) in types.enumerated() {
            if principal.isClient {
                guard type != "user.tool_result" else {
                    throw .forbidden(
                        "events[\(index)]: `user.tool_result` may only be sent with environment credentials (the self-hosted runner's "
                            + "Session-Instance JWT); an API key or Console session cannot post this event type")
                }
            } else if !Self.results.contains(type) {
                throw .forbidden("events[\(index)]: a worker's credential may only post user.tool_result and user.custom_tool_result")
            }
        }
        let events = try ClientEventParams.send(body, maximum: maximumEvents)
        let echoes = try await sessions.send(events, to: id, by: principal)
        var bytes = Array("{\"data\":[".utf8)
        for (index, echo) in echoes.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += echo
        }
        return .json(bytes + Array("]}".utf8), headers: [:])
    }

    // MARK: Reading

    private func list(_ call: Call) async throws(APIError) -> Answer {
        let id = try await visibleSession(call).id
        let types = call.query.list("types")
        for type in types where !EventTypes.filterable.contains(type) { throw .invalid("types: \"\(type)\" is not a valid value") }
        let filter = EventFilter(types: Set(types), processedAt: try call.query.range("created_at"))
        return try await page(call, id, filter, try call.query.choice("order", SortOrder.self) ?? .ascending)
    }

    private func page(_ call: Call, _ id: String, _ filter: EventFilter, _ order: SortOrder) async throws(APIError) -> Answer {
        let list = "events:" + id
        let page = try await sessions.events(
            id, filter: filter, order: order, from: try call.query.position(list, order), limit: try call.query.limit(default: 1000, maximum: 1000),
            by: try call.caller())
        return page.answer(list, order, last: .omitted, \.bytes)
    }

    private func stream(_ call: Call) async throws(APIError) -> Answer {
        let record = try await visibleSession(call)
        let wanted = call.query.list("event_deltas")
        guard wanted.count <= 100 else { throw .invalid("event_deltas: must contain at most 100 items") }
        let previews = Set(wanted)
        guard previews.isSubset(of: Self.previewTypes) else {
            throw .invalid("event_deltas: must be agent.message or agent.thinking")
        }
        var after: Int?
        if let text = call.request.headers[.lastEventID], !text.isEmpty {
            guard let sequence = Int(text), (0...record.lastSequence).contains(sequence) else {
                throw .invalid("Last-Event-ID: no event of this session has that id")
            }
            after = sequence
        }
        let principal = try call.caller()
        return try await streams.serve(call, session: record.id) { () async throws(APIError) in
            try await sessions.subscribe(record.id, after: after, previews: previews, by: principal)
        }
    }

    private func visibleSession(_ call: Call) async throws(APIError) -> SessionRecord {
        try await sessions.session(try call.parameter("session_id"), workspaceID: try call.workspaceID())
    }

    // MARK: Threads

    /// The session whose primary thread the path names.
    private func thread(_ call: Call) async throws(APIError) -> SessionRecord {
        let thread = try call.parameter("thread_id")
        guard ResourceID.isWellFormed(thread, .thread) else { throw .invalid("Invalid thread ID.") }
        let record = try await visibleSession(call)
        guard record.threadID == thread else { throw .notFound("Thread not found: \(thread)") }
        return record
    }

    private func threads(_ call: Call) async throws(APIError) -> Answer {
        let record = try await visibleSession(call)
        _ = try call.query.limit(default: 1000, maximum: 1000)
        let list = "threads:" + record.id
        guard try call.query.position(list, .ascending) == nil else { return .page([], next: nil, last: .omitted) }
        let statuses = call.query.list("statuses")
        for status in statuses where SessionRecord.Status(rawValue: status) == nil { throw .invalid("statuses: \"\(status)\" is not a valid value") }
        let thread = record.primaryThread
        guard statuses.isEmpty || statuses.contains(thread["status"]?.string ?? "") else { return .page([], next: nil, last: .omitted) }
        return .page([thread.encoded], next: nil, last: .omitted)
    }
}
