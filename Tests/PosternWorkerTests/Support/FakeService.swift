import ManagedAgentsClient
import PosternJSON
import Synchronization

/// The API's worker side in memory, with real streams: polls are held, events are pushed, leases are checked.
final class FakeService: ClientTransport {
    struct Session {
        var events: [JSON] = []
        var status = "running"
        var resources: [JSON] = []
        var skills: [JSON] = []
        var agent: String?
        var streams: [Int: AsyncThrowingStream<[UInt8], any Error>.Continuation] = [:]
    }

    struct Fault {
        var method: ClientMethod
        var suffix: String
        var status: Int
        var body: JSON = .null
        var headers: ClientHeaders = [:]
        var times = 1
    }

    struct State {
        var queue: [JSON] = []
        var sessions: [String: Session] = [:]
        var requests: [ClientRequest] = []
        var beats: [String: String] = [:]
        var beatCount = 0
        var heartbeatState = "active"
        var extended = true
        var ttl = 300
        var stopped: [String] = []
        /// Items whose heartbeats are answered with `stopped`.
        var ended: Set<String> = []
        var acked: [String] = []
        var faults: [Fault] = []
        var nextStream = 0
        var streamsOpened = 0
        var polls: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextPoll = 0
        var holdsPolls = true
        /// Who asks for a session waits until it is `false` again.
        var holdsSessions = false
        var watchers: [(@Sendable (State) -> Bool, CheckedContinuation<Void, Never>)] = []

        func results(_ session: String) -> [JSON] {
            sessions[session]?.events.filter { $0["type"] == "user.tool_result" } ?? []
        }
        func posts(_ suffix: String) -> [ClientRequest] { requests.filter { $0.method == .post && $0.target.hasSuffix(suffix) } }
    }

    private let state = Mutex(State())

    init(_ configure: (inout State) -> Void = { _ in }) { state.withLock { configure(&$0) } }

    var current: State { state.withLock { $0 } }

    func change(_ change: (inout State) -> Void) {
        let met = state.withLock { state in
            change(&state)
            let now = state
            let met = now.watchers.filter { $0.0(now) }.map(\.1)
            state.watchers.removeAll { $0.0(now) }
            return met
        }
        for waiter in met { waiter.resume() }
    }

    func until(_ matches: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { waiter in
            let isDone = state.withLock { state in
                if matches(state) { return true }
                state.watchers.append((matches, waiter))
                return false
            }
            if isDone { waiter.resume() }
        }
    }

    // MARK: What tests do

    static let secret = "eyJzZXNzaW9uc190b2tlbiI6InRvay0xIn0"  // {"sessions_token":"tok-1"}

    func enqueue(_ session: String, kind: String = "session", secret: String? = FakeService.secret) {
        let item: JSON = [
            "type": "work", "id": .string(session), "environment_id": "env_1", "data": ["type": .string(kind), "id": .string(session)],
            "state": "queued", "secret": JSON(secret),
        ]
        change { state in
            if state.sessions[session] == nil { state.sessions[session] = Session() }
            state.beats[session] = nil
            state.ended.remove(session)
            state.queue.append(item)
            for poll in state.polls.values { poll.resume() }
            state.polls = [:]
        }
    }

    /// Appends to the log and sends to every open stream.
    func emit(_ session: String, _ events: JSON...) {
        change { state in
            for event in events {
                state.sessions[session, default: Session()].events.append(event)
                let frame = Self.frame(event)
                for stream in (state.sessions[session]?.streams ?? [:]).values { stream.yield(frame) }
            }
        }
    }

    /// Ends every stream of the session, with an `event: error` frame if `error`.
    func breakStreams(_ session: String, error: Bool) {
        change { state in
            for stream in (state.sessions[session]?.streams ?? [:]).values {
                if error { stream.yield(Array("event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"overloaded\"}}\n\n".utf8)) }
                stream.finish()
            }
            state.sessions[session]?.streams = [:]
        }
    }

    static func use(_ id: String, _ input: JSON, name: String = "bash", permission: String? = "allow") -> JSON {
        var event: JSONObject = ["type": "agent.tool_use", "id": .string(id), "name": .string(name), "input": input]
        if let permission { event["evaluated_permission"] = .string(permission) }
        return .object(event)
    }

    static func idle(_ reason: String = "end_turn") -> JSON {
        ["type": "session.status_idle", "id": "sevt_idle", "stop_reason": ["type": .string(reason)]]
    }

    private static func frame(_ event: JSON) -> [UInt8] {
        Array("event: \(event["type"]?.string ?? "")\ndata: \(event.text)\n\n".utf8)
    }

    // MARK: The API

    func send(_ request: ClientRequest) async throws(TransportError) -> ClientResponse {
        if Task.isCancelled { throw .cancelled }
        change { $0.requests.append(request) }
        let path = request.target.prefix { $0 != "?" }
        let parts = path.split(separator: "/").map(String.init)
        let fault: Fault? = state.withLock { state in
            guard let index = state.faults.firstIndex(where: { $0.method == request.method && path.hasSuffix($0.suffix) }) else { return nil }
            let fault = state.faults[index]
            state.faults[index].times -= 1
            if state.faults[index].times <= 0 { state.faults.remove(at: index) }
            return fault
        }
        if let fault {
            if fault.status == 0 { throw .broken("fault") }
            var headers = fault.headers
            if headers["x-should-retry"] == nil { headers["x-should-retry"] = "false" }
            return ClientResponse(status: fault.status, headers: headers, body: ClientBody(fault.body.encoded))
        }
        switch (request.method, parts.count > 1 ? parts[1] : "", parts.last ?? "") {
        case (.get, "environments", "poll"): return await poll()
        case (.post, "environments", "ack"):
            change { $0.acked.append(parts[4]) }
            return answer(["id": .string(parts[4]), "state": "starting"])
        case (.post, "environments", "heartbeat"): return heartbeat(parts[4], request)
        case (.post, "environments", "stop"):
            change { state in
                state.stopped.append(parts[4])
                state.beats[parts[4]] = nil
            }
            return answer(["id": .string(parts[4]), "state": "stopped"])
        case (.get, "sessions", "stream"): return stream(parts[2])
        case (.get, "sessions", "events"):
            return answer(["data": .array(current.sessions[parts[2]]?.events ?? [])])
        case (.post, "sessions", "events"):
            let events = (try? JSON(parsing: request.body))?["events"]?.array ?? []
            for event in events {
                var stored = event.object ?? [:]
                stored["id"] = "sevt_r"
                emit(parts[2], .object(stored))
            }
            return answer(["data": .array(events)])
        case (.get, "sessions", _):
            if current.holdsSessions { await until { !$0.holdsSessions } }
            guard let session = current.sessions[parts[2]] else { return answer(["type": "error", "error": ["type": "not_found_error"]], 404) }
            return answer([
                "id": .string(parts[2]), "status": .string(session.status), "resources": .array(session.resources),
                "agent": ["id": JSON(session.agent), "skills": .array(session.skills)],
            ])
        default: return answer(["type": "error", "error": ["type": "not_found_error", "message": "no route"]], 404)
        }
    }

    private func answer(_ json: JSON, _ status: Int = 200, _ headers: ClientHeaders = [:]) -> ClientResponse {
        ClientResponse(status: status, headers: headers, body: ClientBody(json.encoded))
    }

    private func poll() async -> ClientResponse {
        let (holds, isEmpty, id) = state.withLock { state in
            state.nextPoll += 1
            return (state.holdsPolls, state.queue.isEmpty, state.nextPoll)
        }
        if holds, isEmpty {
            await withTaskCancellationHandler {
                await withCheckedContinuation { waiter in
                    var isReady = false
                    change { state in
                        isReady = !state.queue.isEmpty || Task.isCancelled
                        if !isReady { state.polls[id] = waiter }
                    }
                    if isReady { waiter.resume() }
                }
            } onCancel: {
                state.withLock { $0.polls.removeValue(forKey: id) }?.resume()
            }
        }
        let item = state.withLock { state in
            Task.isCancelled || state.queue.isEmpty ? nil : state.queue.removeFirst()
        }
        return answer(item ?? .null, 200, holds ? ["Postern-Poll": "1"] : [:])
    }

    private func heartbeat(_ id: String, _ request: ClientRequest) -> ClientResponse {
        let query = request.target.split(separator: "?").last.map { $0.split(separator: "&") } ?? []
        let expected = query.first { $0.hasPrefix("expected_last_heartbeat=") }?.split(separator: "=").last.map(String.init) ?? ""
        var response: ClientResponse?
        change { state in
            state.beatCount += 1
            if state.ended.contains(id) {
                response = answer([
                    "type": "work_heartbeat", "last_heartbeat": "", "state": "stopped", "lease_extended": false, "ttl_seconds": JSON(state.ttl),
                ])
                return
            }
            guard (state.beats[id] ?? "NO_HEARTBEAT") == expected else {
                var current: JSONObject = ["state": .string(state.heartbeatState)]
                current["last_heartbeat"] = state.beats[id].map(JSON.string)
                let error: JSON = [
                    "type": "invalid_request_error", "message": "precondition", "details": ["current_state": .object(current)],
                ]
                response = answer(["type": "error", "error": error], 412)
                return
            }
            let value = "beat-\(state.beatCount)"
            state.beats[id] = value
            response = answer([
                "type": "work_heartbeat", "last_heartbeat": .string(value), "state": .string(state.heartbeatState),
                "lease_extended": .bool(state.extended), "ttl_seconds": JSON(state.ttl),
            ])
        }
        return response ?? answer(.null, 500)
    }

    private func stream(_ session: String) -> ClientResponse {
        let (body, feed) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        change { state in
            state.nextStream += 1
            state.streamsOpened += 1
            state.sessions[session, default: Session()].streams[state.nextStream] = feed
        }
        return ClientResponse(status: 200, headers: ["content-type": "text/event-stream"], body: ClientBody(body))
    }
}
