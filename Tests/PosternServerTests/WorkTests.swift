import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import Testing

@testable import PosternServer

@Suite struct WorkTests {
    @Test func theLifeOfAnItem() async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let key = try await server.environmentKey(environment).secret
        let root = "/v1/environments/\(environment)/work"
        let empty = try await server.call(.get, root + "/poll", key: key)
        #expect(
            empty.status == 200 && empty.text == "null" && empty.headers[.contentType] == "application/json" && empty.headers[.posternPoll] == "1")

        let session = try await server.session(try await server.agent(), environment)
        let stats = try await server.call(.get, root + "/stats")
        #expect(stats.json["depth"] == 1 && stats.json["pending"] == 0 && stats.json["type"] == "work_queue_stats")
        let polled = try await server.call(.get, root + "/poll?block_ms=10", key: key, headers: [.workerID: "w1"])
        #expect(polled.json.object?.count == 14, "the reference's members, `actor` among them")
        #expect(polled.id == session && polled.json["data"] == ["type": "session", "id": .string(session)] && polled.json["state"] == "queued")
        #expect(polled.json["actor"] == .null && polled.json["started_at"]?.string != nil && polled.json["secret"]?.string?.contains("=") == false)
        #expect(try await server.call(.get, root + "/poll", key: key).text == "null", "handed out once")
        #expect(try await server.call(.get, root + "/stats", key: key).json["workers_polling"] == 1)

        let acknowledged = try await server.call(.post, root + "/\(session)/ack", key: key)
        #expect(acknowledged.json["state"] == "starting" && acknowledged.json["secret"] == .null)
        let again = try await server.call(.post, root + "/\(session)/ack", key: key)
        #expect(again.status == 409 && again.headers[.shouldRetry] == "false")

        let beat = try await server.call(.post, root + "/\(session)/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", key: key)
        #expect(beat.json["state"] == "active" && beat.json["ttl_seconds"] == 300 && beat.json["lease_extended"] == true)
        let last = beat.json["last_heartbeat"]?.string ?? ""
        let wrong = try await server.call(.post, root + "/\(session)/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", key: key)
        #expect(wrong.status == 412 && wrong.json["error"]?["details"]?["error_code"] == "heartbeat_precondition_failed")
        #expect(wrong.json["error"]?["details"]?["current_state"]?["last_heartbeat"] == .string(last))
        let escaped = last.replacing(":", with: "%3A")
        let next = try await server.call(.post, root + "/\(session)/heartbeat?expected_last_heartbeat=\(escaped)&desired_ttl_seconds=120", key: key)
        #expect(next.status == 200 && next.json["ttl_seconds"] == 120)
        #expect(try await server.call(.post, root + "/\(session)/heartbeat?desired_ttl_seconds=0", key: key).status == 400)

        let labelled = try await server.call(.post, root + "/\(session)", body: ["metadata": ["a": "b"]])
        #expect(labelled.json["metadata"] == ["a": "b"] && labelled.json["secret"] == .null)
        #expect(try await server.call(.post, root + "/\(session)", body: ["metadata": ["a": .null]]).json["metadata"] == [:])
        #expect(try await server.call(.get, root, key: key).json["data"]?.array?.count == 1)

        let stopping = try await server.call(.post, root + "/\(session)/stop", key: key, body: [:])
        #expect(stopping.json["state"] == "stopping")
        let stopped = try await server.call(.post, root + "/\(session)/stop", key: key, body: ["force": true])
        #expect(stopped.json["state"] == "stopped" && stopped.json["stop_requested_at"] == stopping.json["stop_requested_at"])
        #expect(try await server.call(.post, root + "/\(session)/stop", key: key).status == 200, "a repeat changes nothing")
        #expect(try await server.call(.post, root + "/\(session)/stop", key: key, body: ["force": 1]).status == 400)
    }

    @Test func pollRefusals() async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let key = try await server.environmentKey(environment).secret
        let poll = "/v1/environments/\(environment)/work/poll"
        let zero = try await server.call(.get, poll + "?reclaim_older_than_ms=0", key: key)
        #expect(zero.status == 400 && zero.message == "reclaim_older_than_ms: Input should be greater than or equal to 1")
        for query in ["block_ms=0", "block_ms=1000", "block_ms=x"] {
            #expect(try await server.call(.get, poll + "?" + query, key: key).status == 400)
        }
        for seconds in ["0", "61", "x"] {
            #expect(try await server.call(.get, poll, key: key, headers: [.posternPollSeconds: seconds]).status == 400)
        }
        let other = try await server.call(.get, "/v1/environments/env_nowhere/work/poll", key: key)
        #expect(other.status == 403 && other.message == "Token not authorized for this environment" && other.headers[.shouldRetry] == "false")
        // Deleting an environment does not revoke its keys.
        _ = try await server.call(.delete, "/v1/environments/\(environment)?force=true")
        let gone = try await server.call(.get, "/v1/environments/\(environment)/work/stats", key: key)
        #expect(gone.status == 404 && gone.message == "Environment \(environment) not found.")
    }

    @Test func aLongPollIsWokenByASession() async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let agent = try await server.agent()
        let key = try await server.environmentKey(environment).secret
        async let polled = server.call(
            .get, "/v1/environments/\(environment)/work/poll", key: key, headers: [.posternPollSeconds: "30"])
        let session = try await server.session(agent, environment)
        #expect(try await polled.id == session)
    }

    @Test func aLeaseIsItsHoldersAlone() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let sibling = try await server.environmentKey(leased.environment).secret
        let item = "/v1/environments/\(leased.environment)/work/\(leased.session)"
        for (path, body) in [
            ("/heartbeat", nil), ("/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", nil), ("/stop", [:]), ("/stop", ["force": true]),
        ] as [(String, JSON?)] {
            let reply = try await server.call(.post, item + path, key: sibling, body: body)
            #expect(reply.status == 403 && reply.message?.contains("is leased with another key of its environment") == true, "\(path) \(reply.text)")
        }
        let beat = try await server.call(.post, item + "/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", key: leased.token)
        #expect(beat.status == 200 && beat.json["state"] == "active", "nothing of it has counted")

        // A new key takes over when the old one has ended, and the old one's token opens nothing of it.
        _ = try await server.call(.delete, "/postern/v1/environments/\(leased.environment)/keys/\(leased.keyID)")
        let polled = try await server.call(
            .get, "/v1/environments/\(leased.environment)/work/poll", key: sibling, headers: [.posternPollSeconds: "30"])
        #expect(polled.id == leased.session)
        #expect(try await server.call(.post, item + "/ack", key: sibling).status == 200)
        #expect(try await server.call(.post, item + "/heartbeat", key: sibling).status == 200)
        #expect(try await server.call(.post, item + "/heartbeat", key: leased.token).status == 401)
        #expect(try await server.call(.post, item + "/stop", key: sibling, body: ["force": true]).json["state"] == "stopped")
    }

    /// What the official worker does with an item that it could not acknowledge.
    @Test(arguments: ["queued", "polled", "stopped"]) func anItemThatNobodyHoldsIsStoppedByAnyKey(state: String) async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let session = try await server.session(try await server.agent(), environment)
        let root = "/v1/environments/\(environment)/work"
        let (first, second) = (try await server.environmentKey(environment).secret, try await server.environmentKey(environment).secret)
        if state == "polled" { #expect(try await server.call(.get, root + "/poll", key: first).id == session) }
        if state == "stopped" { _ = try await server.call(.post, root + "/\(session)/stop", key: first, body: ["force": true]) }
        let stopped = try await server.call(.post, root + "/\(session)/stop", key: second, body: ["force": true])
        #expect(stopped.status == 200 && stopped.json["state"] == "stopped", "\(stopped.text)")
    }

    /// Two keys were handed one item that nobody had acknowledged: whoever claims it has the lease, with the token that it was given.
    @Test(arguments: ["ack", "heartbeat"]) func ofTwoKeysThatPolledOneHasTheLease(claim: String) async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let session = try await server.session(try await server.agent(), environment)
        let root = "/v1/environments/\(environment)/work"
        let (first, second) = (try await server.environmentKey(environment).secret, try await server.environmentKey(environment).secret)
        let token = try await server.call(.get, root + "/poll", key: first).sessionsToken
        var stranger = ""
        while stranger.isEmpty {
            stranger = try await server.call(.get, root + "/poll?reclaim_older_than_ms=1&block_ms=5", key: second).sessionsToken
        }
        #expect(try await server.call(.post, root + "/\(session)/\(claim)", key: first).status == 200)
        #expect(try await server.call(.get, "/v1/sessions/\(session)", key: token).status == 200)
        #expect(try await server.call(.get, "/v1/sessions/\(session)", key: stranger).status == 401)
        #expect(try await server.call(.get, "/v1/sessions/\(session)", key: second).status == 403)
        #expect(try await server.call(.post, root + "/\(session)/heartbeat", key: stranger).status == 401)
        #expect(try await server.call(.post, root + "/\(session)/stop", key: second, body: ["force": true]).status == 403)
    }

    @Test func aSecondResultChangesNothing() async throws {
        let server = try await Fixture(provider: BashOnce())
        let leased = try await server.leasedSession()
        _ = try await server.call(
            .post, "/v1/sessions/\(leased.session)/events",
            body: ["events": [["type": "user.message", "content": [["type": "text", "text": "go"]]]]])
        let call = try await waitForEvent(server, leased.session, "agent.tool_use")
        let result: JSON = [
            "events": [
                ["type": "user.tool_result", "tool_use_id": call["id"] ?? "", "is_error": false, "content": [["type": "text", "text": "ok"]]]
            ]
        ]
        let first = try await server.call(.post, "/v1/sessions/\(leased.session)/events", key: leased.token, body: result)
        #expect(first.status == 200, "\(first.text)")
        _ = try await waitForEvent(server, leased.session, "session.status_idle")
        let before = try await server.call(.get, "/v1/sessions/\(leased.session)/events").text
        let second = try await server.call(.post, "/v1/sessions/\(leased.session)/events", key: leased.token, body: result)
        #expect(second.status == 200)
        #expect(try await server.call(.get, "/v1/sessions/\(leased.session)/events").text == before)
    }

    /// Subscribes before it looks, so that it neither misses the event nor polls.
    private func waitForEvent(_ server: Fixture, _ session: String, _ type: String) async throws -> JSON {
        let key = KeyRecord(
            id: "k", kind: .api, workspaceID: server.workspaceID, role: .viewer, name: "", hash: [], hint: "", createdAt: .now())
        let stream = try await server.services.sessions.subscribe(session, after: 0, previews: [], by: .apiKey(key))
        defer { stream.close() }
        while let item = try await stream.next() {
            if case .event(let row) = item, row.type == type { return try JSON(parsing: row.bytes) }
        }
        return .null
    }
}

/// Calls bash once, then says that it is done.
struct BashOnce: ModelProvider {
    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        let isSecond = request.messages.count > 1
        return ModelResponse(
            content: isSecond
                ? [["type": "text", "text": "done"]] : [["type": "tool_use", "id": "toolu_1", "name": "bash", "input": ["command": "true"]]],
            stopReason: isSecond ? "end_turn" : "tool_use", usage: ModelUsage(input: 1, output: 1))
    }

    func models() async throws(ModelError) -> [JSONObject] { [] }
}
