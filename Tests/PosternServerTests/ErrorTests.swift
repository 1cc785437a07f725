import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTestKit
import Testing

@testable import PosternServer

/// Refusals, word for word where the reference's words are known.
@Suite struct ErrorTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var method: HTTPRequest.Method
        /// `{agent}`, `{environment}`, `{session}` and `{thread}` stand for existing ids.
        var path: String
        var body: String?
        var status: Int
        var type: String
        var message: String?
        /// `x-should-retry`; nil for absent.
        var retry: String?
        var testDescription: String { "\(method) \(path) \(body ?? "")" }

        init(
            _ method: HTTPRequest.Method, _ path: String, _ body: String?, _ status: Int, _ type: String, _ message: String?, retry: String? = "false"
        ) {
            self.method = method
            self.path = path
            self.body = body
            self.status = status
            self.type = type
            self.message = message
            self.retry = retry
        }

        init(_ method: HTTPRequest.Method, _ path: String, _ status: Int, _ type: String, _ message: String?, retry: String? = "false") {
            self.init(method, path, nil, status, type, message, retry: retry)
        }
    }

    static let rows: [Row] = [
        Row(.put, "/v1/agents", 405, "invalid_request_error", "Method Not Allowed", retry: nil),
        Row(.put, "/v1/environments/{environment}/work/poll", 405, "invalid_request_error", "Method Not Allowed", retry: nil),
        Row(.get, "/v1/nothing/here", 404, "not_found_error", "Not found"),
        Row(.get, "/v1/sessions/{session}/bogus", 404, "not_found_error", "Not found"),
        Row(.delete, "/v1/agents/{agent}", 404, "not_found_error", "not found"),
        Row(.get, "/v1/vaults", 404, "not_found_error", "Vaults are not built yet in this version of Postern."),
        Row(.post, "/v1/memory_stores/x/memories", 404, "not_found_error", "Memory stores are not built yet in this version of Postern."),
        Row(.get, "/v1/agents/undefined", 400, "invalid_request_error", "Invalid agent ID."),
        Row(.get, "/v1/agents/agent_01UnknownAgentIdXXXXXXXX", 400, "invalid_request_error", "Invalid agent ID."),
        Row(.get, "/v1/agents/agent_011CZkZAtmR3yMPDzynEDxu7", 404, "not_found_error", "Agent agent_011CZkZAtmR3yMPDzynEDxu7 not found."),
        Row(.post, "/v1/agents", "{", 400, "invalid_request_error", nil),
        Row(.post, "/v1/agents", 400, "invalid_request_error", "Failed to parse request body: unexpected end of JSON input"),
        Row(.get, "/v1/agents?limit=101", 400, "invalid_request_error", "limit: must be between 1 and 100"),
        Row(.get, "/v1/agents?page=forged", 400, "invalid_request_error", "page: invalid cursor"),
        Row(.post, "/v1/environments", "{}", 400, "invalid_request_error", "name: Field required"),
        Row(.get, "/v1/environments/env_x", 404, "not_found_error", "Environment env_x not found."),
        Row(.delete, "/v1/environments/env_x", 404, "not_found_error", "Environment env_x not found."),
        Row(
            .post, "/v1/environments/{environment}", #"{"config":{"type":"cloud"}}"#, 400, "invalid_request_error",
            "Cannot change environment type from BYOC to Cloud"),
        Row(.post, "/v1/environments/{environment}/work/poll", "{}", 400, "invalid_request_error", "metadata: Field required"),
        Row(.get, "/v1/environments/{environment}/work/poll", 401, "authentication_error", nil),
        Row(.get, "/v1/environments/{environment}/work", 401, "authentication_error", nil),
        Row(.get, "/v1/environments/{environment}/work/work_x", 404, "not_found_error", nil),
        Row(.get, "/v1/sessions/sesn_x", 404, "not_found_error", "Session sesn_x not found."),
        Row(
            .post, "/v1/sessions", #"{"agent":"{agent}","environment_id":"env_x"}"#, 404, "not_found_error", "Environment env_x not found.",
            retry: nil),
        Row(.post, "/v1/sessions", #"{"agent":"{agent}"}"#, 400, "invalid_request_error", "environment_id: value is required"),
        Row(
            .post, "/v1/sessions", #"{"agent":{"type":"agent_with_overrides","id":"{agent}","multiagent":{}},"environment_id":"{environment}"}"#, 400,
            "invalid_request_error", #"Failed to parse request body: unknown field "multiagent""#),
        Row(.post, "/v1/sessions/{session}", #"{"vault_ids":[]}"#, 400, "invalid_request_error", "vault_ids: Not yet supported"),
        Row(.post, "/v1/sessions/{session}/events", #"{"events":[]}"#, 400, "invalid_request_error", "events: must contain at least 1 item"),
        Row(
            .post, "/v1/sessions/{session}/events", #"{"events":[{"type":"agent.message"}]}"#, 400, "invalid_request_error",
            #"Failed to parse request: events[0].type: "agent.message" is not a valid value"#),
        Row(
            .post, "/v1/sessions/{session}/events", #"{"events":[{"type":"user.message","content":[{"type":"text","text":""}]}]}"#, 400,
            "invalid_request_error", "events.0.user_message.content.0.text: value is required"),
        Row(
            .post, "/v1/sessions/{session}/events", #"{"events":[{"type":"user.tool_result","tool_use_id":"sevt_1","content":[]}]}"#, 403,
            "permission_error",
            "events[0]: `user.tool_result` may only be sent with environment credentials (the self-hosted runner's Session-Instance JWT); an API key or Console session cannot post this event type"
        ),
        Row(
            .post, "/v1/sessions/{session}/events", #"{"events":[{"type":"user.interrupt","session_thread_id":"sthr_011CZkZAtmR3yMPDzynEDxu7"}]}"#,
            404, "not_found_error", "Thread not found: sthr_011CZkZAtmR3yMPDzynEDxu7"),
        Row(
            .post, "/v1/sessions/{session}/events", #"{"events":[{"type":"user.define_outcome"}]}"#, 400, "invalid_request_error",
            "user.define_outcome is not built yet in this version of Postern."),
        Row(.get, "/v1/sessions/{session}/resources/sesrsc_1", 404, "not_found_error", "Resource not found: sesrsc_1"),
        Row(.get, "/v1/sessions/{session}/threads/sthr_x", 400, "invalid_request_error", "Invalid thread ID."),
        Row(
            .post, "/v1/sessions/{session}/threads/{thread}/archive", 400, "invalid_request_error",
            "The primary thread cannot be archived; archive the session instead."),
        Row(.get, "/v1/sessions/{session}/events/stream?event_deltas[]=bogus", 400, "invalid_request_error", nil),
    ]

    @Test(arguments: rows) func refusal(row: Row) async throws {
        let server = try await Fixture()
        let agent = try await server.agent()
        let environment = try await server.environment()
        let session = try await server.session(agent, environment)
        let thread = try await server.call(.get, "/v1/sessions/\(session)/threads").json["data"]?.array?.first?["id"]?.string ?? ""
        func filled(_ text: String) -> String {
            text.replacing("{agent}", with: agent).replacing("{environment}", with: environment).replacing("{session}", with: session)
                .replacing("{thread}", with: thread)
        }
        let reply = try await server.call(row.method, filled(row.path), raw: row.body.map(filled))
        #expect(reply.status == row.status && reply.type == row.type)
        if let message = row.message { #expect(reply.message == message) }
        #expect(reply.headers[.shouldRetry] == row.retry)
        #expect(reply.json["type"] == "error" && reply.json["request_id"]?.string == reply.headers[.requestID])
        #expect(reply.headers[.requestID]?.hasPrefix("req_01") == true)
    }

    @Test func credentials() async throws {
        let server = try await Fixture()
        #expect(try await server.call(.get, "/v1/agents", key: "").status == 401)
        let garbage = try await server.call(.get, "/v1/agents", key: "sk-postern-api-garbage")
        #expect(garbage.status == 401 && garbage.message == "Invalid bearer token" && garbage.headers[.shouldRetry] == "false")
        let shape = try await server.call(.get, "/v1/agents", key: "", headers: [.apiKey: server.admin])
        #expect(shape.status == 200)
        #expect(try await server.call(.get, "/v1/agents", key: "", headers: [.authorization: "Basic abc"]).status == 401)
        for value in ["default", "wrkspc_x"] {
            let reply = try await server.call(.get, "/v1/agents", headers: [.workspaceID: value])
            #expect(reply.status == 400 && reply.message == "anthropic-workspace-id header must be a valid workspace ID.")
        }
        #expect(try await server.call(.get, "/v1/agents", headers: [.workspaceID: server.workspaceID]).status == 200)
        #expect(try await server.call(.get, "/v1/agents", headers: [.workspaceID: ResourceID.make(.workspace)]).status == 403)
        #expect(try await server.call(.get, "/v1/agents?beta=true").status == 200)
    }

    @Test func limits() async throws {
        let server = try await Fixture { configuration in
            configuration.maximumBodySize = 1000
            configuration.maximumHeaderSize = 2000
            configuration.maximumEventsPerRequest = 2
        }
        let large = try await server.call(
            .post, "/v1/agents", body: ["name": "a", "model": "m", "system": .string(String(repeating: "x", count: 1000))])
        #expect(large.status == 413 && large.type == "request_too_large")
        let head = try await server.call(.get, "/v1/agents?x=" + String(repeating: "x", count: 2000))
        #expect(head.status == 431)
        let session = try await server.session(try await server.agent(), try await server.environment())
        let event: JSON = ["type": "user.interrupt"]
        #expect(try await server.call(.post, "/v1/sessions/\(session)/events", body: ["events": [event, event, event]]).status == 400)
    }

    @Test func aFullDiskIsNamedAndLosesNothing() async throws {
        let server = try await Fixture()
        let agent = try await server.agent()
        server.store.fail(with: .unavailable("database or disk is full: /secret/path"))
        // The key's look-up is cached for a second, so the failure reaches the route.
        let reply = try await server.call(.post, "/v1/agents", body: ["name": "a", "model": "m"])
        #expect(reply.status == 503 && reply.headers[.shouldRetry] == "true" && !reply.text.contains("/secret"))
        server.store.fail(with: nil)
        #expect(try await server.call(.get, "/v1/agents").json["data"]?.array?.map { $0["id"]?.string } == [agent])
    }

    @Test func plainHTTPBeyondLoopbackIsRefused() {
        for host in ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.example.org"] {
            #expect(throws: ConfigurationRefusal.self) { try ServerConfiguration(host: host).validate() }
        }
        for host in ["127.0.0.1", "127.1.2.3", "localhost", "::1"] {
            #expect(throws: Never.self) { try ServerConfiguration(host: host).validate() }
        }
        #expect(throws: Never.self) { try ServerConfiguration(host: "0.0.0.0", tls: .init(certificateFile: "c", keyFile: "k")).validate() }
    }
}
