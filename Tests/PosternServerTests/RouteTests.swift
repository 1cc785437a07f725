import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import Testing

@testable import PosternServer

/// Each resource's calls that succeed.
@Suite struct RouteTests {
    @Test func agents() async throws {
        let server = try await Fixture()
        let created = try await server.call(.post, "/v1/agents", body: ["name": "a", "model": "m", "tools": Fixture.toolset, "metadata": ["k": "v"]])
        #expect(created.status == 200)
        #expect(created.json["version"] == 1 && created.json["archived_at"] == .null)
        let id = created.id
        #expect(ResourceID.isWellFormed(id, .agent))

        let same = try await server.call(.post, "/v1/agents/\(id)", body: ["version": .null, "name": "a"])
        #expect(same.json == created.json, "nothing changed, so no version and no time did")
        let second = try await server.call(.post, "/v1/agents/\(id)", body: ["version": 1, "name": "b", "metadata": ["k": .null]])
        #expect(second.json["version"] == 2 && second.json["name"] == "b" && second.json["metadata"] == [:])
        let stale = try await server.call(.post, "/v1/agents/\(id)", body: ["version": 1, "name": "c"])
        #expect(stale.status == 409 && stale.headers[.shouldRetry] == "false")

        #expect(try await server.call(.get, "/v1/agents/\(id)").json == second.json)
        #expect(try await server.call(.get, "/v1/agents/\(id)?version=1").json["name"] == "a")
        #expect(try await server.call(.get, "/v1/agents/\(id)?version=9").status == 404)
        let versions = try await server.call(.get, "/v1/agents/\(id)/versions")
        #expect(versions.json["data"]?.array?.map { $0["version"] } == [2, 1])
        #expect(versions.json["next_page"] == nil, "the key is left out on the last page")

        let archived = try await server.call(.post, "/v1/agents/\(id)/archive")
        #expect(archived.json["archived_at"]?.string != nil)
        #expect(try await server.call(.post, "/v1/agents/\(id)", body: ["name": "z"]).status == 400)
        #expect(try await server.call(.get, "/v1/agents").json["data"] == [])
        #expect(try await server.call(.get, "/v1/agents?include_archived=true").json["data"]?.array?.count == 1)
    }

    @Test func pagesFollowOneAnother() async throws {
        let server = try await Fixture()
        var made: [String] = []
        for _ in 0..<5 { made.append(try await server.agent()) }
        var seen: [String] = []
        var path = "/v1/agents?limit=2"
        while true {
            let page = try await server.call(.get, path)
            seen += page.json["data"]?.array?.compactMap { $0["id"]?.string } ?? []
            guard let next = page.json["next_page"]?.string else { break }
            path = "/v1/agents?limit=2&page=\(next)"
        }
        #expect(Set(seen) == Set(made) && seen.count == 5)
        let cursor = try await server.call(.get, "/v1/agents?limit=2").json["next_page"]?.string ?? ""
        #expect(try await server.call(.get, "/v1/environments?page=\(cursor)").status == 400, "a cursor of another list")
        #expect(try await server.call(.get, "/v1/agents?page=x" + cursor.dropFirst()).status == 400, "a forged cursor")
    }

    @Test func environments() async throws {
        let server = try await Fixture()
        let created = try await server.call(.post, "/v1/environments", body: ["name": "e", "config": ["type": "self_hosted"], "description": ""])
        #expect(created.json["config"] == ["type": "self_hosted"] && created.json["scope"] == "organization" && created.json["description"] == "")
        let id = created.id
        #expect(try await server.call(.post, "/v1/environments", body: ["name": "e"]).status == 409)
        let updated = try await server.call(.post, "/v1/environments/\(id)", body: ["description": .null, "metadata": ["a": "1", "b": ""]])
        #expect(updated.json["description"] == .null && updated.json["metadata"] == ["a": "1"])
        #expect(try await server.call(.get, "/v1/environments/\(id)").json == updated.json)
        let list = try await server.call(.get, "/v1/environments")
        #expect(list.json["data"]?.array?.count == 1 && list.json["next_page"] == .null)
        #expect(try await server.call(.post, "/v1/environments/\(id)/archive").json["archived_at"]?.string != nil)
        let late = try await server.call(.post, "/v1/environments/\(id)", body: ["name": "f"])
        #expect(late.status == 400 && late.json["error"]?["details"]?["error_code"] == "environment_archived")
        #expect(try await server.call(.delete, "/v1/environments/\(id)").json == ["id": .string(id), "type": "environment_deleted"])
        #expect(try await server.call(.get, "/v1/environments/\(id)").status == 404)
    }

    @Test func environmentsWithWorkAreKept() async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let session = try await server.session(try await server.agent(), environment)
        let queued = try await server.call(.delete, "/v1/environments/\(environment)")
        #expect(queued.status == 409 && queued.type == "invalid_request_error")
        #expect(
            queued.message
                == "Cannot delete self-hosted environment with work in the queue. Either archive the environment first to allow the queue to drain, or use force=true to delete immediately."
        )
        let forced = try await server.call(.delete, "/v1/environments/\(environment)?force=true")
        #expect(forced.status == 200, "\(forced.text)")
        #expect(try await server.call(.get, "/v1/sessions/\(session)").json["status"] == "terminated", "archived, and still there to read")

        let leased = try await server.leasedSession()
        let busy = try await server.call(.delete, "/v1/environments/\(leased.environment)")
        #expect(busy.message == "Environment has 1 active sessions. Use force=true to delete anyway.")
    }

    @Test func sessions() async throws {
        let server = try await Fixture()
        let agent = try await server.agent()
        let environment = try await server.environment()
        let created = try await server.call(
            .post, "/v1/sessions",
            body: [
                "agent": ["type": "agent_with_overrides", "id": .string(agent), "system": "other", "tools": []],
                "environment_id": .string(environment),
                "title": "t", "metadata": ["k": "v"],
            ])
        #expect(created.status == 200 && created.json["status"] == "idle" && created.json["title"] == "t")
        #expect(created.json["agent"]?["id"] == .string(agent) && created.json["agent"]?["system"] == "other")
        #expect(created.json["agent"]?["metadata"] == nil && created.json["agent"]?["created_at"] == nil)
        #expect(created.json["resources"] == [] && created.json["vault_ids"] == [] && created.json["outcome_evaluations"] == [])
        #expect(try await server.call(.get, "/v1/agents/\(agent)").json["system"] == .null)
        let id = created.id
        #expect(try await server.call(.get, "/v1/sessions/\(id)").json == created.json)

        let updated = try await server.call(.post, "/v1/sessions/\(id)", body: ["title": .null, "metadata": ["n": "1"]])
        #expect(updated.json["title"] == .null && updated.json["metadata"] == ["k": "v", "n": "1"])
        let deleted = try await server.call(.post, "/v1/sessions/\(id)", body: ["metadata": ["k": .null]])
        #expect(deleted.json["metadata"] == ["n": "1"])
        let list = try await server.call(.get, "/v1/sessions?agent_id=\(agent)&statuses[]=idle")
        #expect(list.json["data"]?.array?.count == 1 && list.json["next_page"] == nil && list.json["prev_page"] == nil)
        #expect(try await server.call(.get, "/v1/sessions?deployment_id=depl_x").json == ["data": []])
        #expect(try await server.call(.get, "/v1/sessions?statuses[]=running").json["data"] == [])

        let threads = try await server.call(.get, "/v1/sessions/\(id)/threads").json["data"]?.array ?? []
        #expect(threads.count == 1 && threads.first?["parent_thread_id"] == .null && threads.first?["type"] == "session_thread")
        let thread = threads.first?["id"]?.string ?? ""
        #expect(try await server.call(.get, "/v1/sessions/\(id)/threads/\(thread)").json == threads.first)
        #expect(try await server.call(.get, "/v1/sessions/\(id)/threads/\(thread)/events").status == 200)

        let archived = try await server.call(.post, "/v1/sessions/\(id)/archive")
        #expect(archived.json["status"] == "terminated" && archived.json["archived_at"]?.string != nil)
        #expect(try await server.call(.get, "/v1/sessions/\(id)/threads/\(thread)").json["status"] == "idle")
        #expect(try await server.call(.get, "/v1/sessions").json["data"] == [])
        #expect(try await server.call(.delete, "/v1/sessions/\(id)").json == ["id": .string(id), "type": "session_deleted"])
        #expect(try await server.call(.get, "/v1/sessions/\(id)").status == 404)
    }

    @Test func eventsAreSentAndListed() async throws {
        let server = try await Fixture(provider: NoAnswer())
        let session = try await server.session(try await server.agent(), try await server.environment())
        let sent = try await server.call(
            .post, "/v1/sessions/\(session)/events", body: ["events": [["type": "user.message", "content": [["type": "text", "text": "hi"]]]]])
        #expect(sent.status == 200)
        let echo = sent.json["data"]?.array?.first
        #expect(echo?["type"] == "user.message" && echo?["id"]?.string?.hasPrefix("sevt_") == true)
        let list = try await server.call(.get, "/v1/sessions/\(session)/events")
        let types = list.json["data"]?.array?.compactMap { $0["type"]?.string } ?? []
        #expect(types.prefix(3) == ["session.status_running", "session.thread_status_running", "user.message"])
        #expect(list.json["next_page"] == nil)
        let filtered = try await server.call(.get, "/v1/sessions/\(session)/events?types[]=user.message&order=desc")
        #expect(filtered.json["data"]?.array?.count == 1)
        #expect(try await server.call(.get, "/v1/sessions/\(session)/events?types[]=bogus").status == 400)
        let first = try await server.call(.get, "/v1/sessions/\(session)/events?limit=1").json["next_page"]?.string ?? ""
        #expect(try await server.call(.get, "/v1/sessions/\(session)/events?limit=1&order=desc&page=\(first)").status == 400, "the other order")
        #expect(try await server.call(.delete, "/v1/sessions/\(session)").status == 400)
        #expect(
            try await server.call(.delete, "/v1/sessions/\(session)").message
                == "Cannot delete session while it is running. Send an interrupt event or wait for the session to complete.")
    }

    @Test func models() async throws {
        let server = try await Fixture()
        let list = try await server.call(.get, "/v1/models?limit=1")
        #expect(list.json["data"]?.array?.map { $0["id"] } == ["m-1"] && list.json["has_more"] == true && list.json["last_id"] == "m-1")
        let next = try await server.call(.get, "/v1/models?after_id=m-1")
        #expect(next.json["data"]?.array?.map { $0["id"] } == ["m-2"] && next.json["has_more"] == false)
        #expect(try await server.call(.get, "/v1/models/m-2").json["type"] == "model")
        #expect(try await server.call(.get, "/v1/models/none").status == 404)
        #expect(try await Fixture(provider: NoAnswer()).call(.get, "/v1/models").status == 502)
    }

    @Test func systemRoutes() async throws {
        let server = try await Fixture()
        #expect(try await server.call(.get, "/healthz", key: "").status == 200)
        #expect(try await server.call(.get, "/readyz", key: "").status == 200)
        let metrics = try await server.call(.get, "/metrics", key: "")
        #expect(metrics.status == 200 && metrics.text.contains("postern_http_requests_total"))
        #expect(metrics.text.contains("postern_work_items{state=\"queued\"} 0\n") && metrics.text.contains("postern_sessions{status=\"idle\"} 0\n"))
        let document = try await server.call(.get, "/openapi.json", key: "").json
        var documented: Set<String> = []
        for (path, item) in document["paths"]?.object ?? [:] {
            for method in item.object?.keys ?? [] { documented.insert("\(method.uppercased()) \(path)") }
        }
        #expect(documented == Set(server.responder.table.routes.map { "\($0.method.rawValue) \($0.pattern)" }))
        #expect(document["openapi"] == "3.1.0")
        let guarded = try await Fixture { $0.metricsNeedKey = true }
        #expect(try await guarded.call(.get, "/metrics", key: "").status == 401)
        #expect(try await guarded.call(.get, "/metrics").status == 200)
    }

    /// What the worker could only answer by stopping the session is refused where it is written.
    @Test(arguments: ["", " ", "nonsense", "7", "null", "\"bash\"", "{", "{\"network\": ", "[1, 2", "{} {}"]) func aPolicyWishOfTheWrongForm(
        wish: String
    ) async throws {
        let server = try await Fixture()
        let (agent, environment) = (try await server.agent(), try await server.environment())
        let session = try await server.session(agent, environment)
        let metadata: JSON = ["postern.policy": .string(wish)]
        for (path, body) in [
            ("/v1/environments", ["name": "w", "metadata": metadata]), ("/v1/environments/\(environment)", ["metadata": metadata]),
            ("/v1/sessions", ["agent": .string(agent), "environment_id": .string(environment), "metadata": metadata]),
            ("/v1/sessions/\(session)", ["metadata": metadata]),
        ] as [(String, JSON)] {
            let reply = try await server.call(.post, path, body: body)
            // An environment's update takes an empty text for a deletion, as the reference does.
            if wish.isEmpty, path.hasSuffix(environment) {
                #expect(reply.status == 200 && reply.json["metadata"] == [:])
                continue
            }
            #expect(reply.status == 400 && reply.type == "invalid_request_error", "\(path) \(reply.text)")
            #expect(reply.message?.hasPrefix("metadata.postern.policy: Input should be a JSON object") == true)
        }
        #expect(try await server.call(.get, "/v1/sessions/\(session)").json["metadata"] == [:])
    }

    @Test(arguments: ["{}", "[]", "[\"issues\"]", "{\"tools\": {\"deny\": [\"bash\"]}}"]) func aPolicyWish(wish: String) async throws {
        let server = try await Fixture()
        let environment = try await server.environment()
        let session = try await server.session(try await server.agent(), environment)
        for path in ["/v1/environments/\(environment)", "/v1/sessions/\(session)"] {
            let set = try await server.call(.post, path, body: ["metadata": ["postern.policy": .string(wish)]])
            #expect(set.json["metadata"] == ["postern.policy": .string(wish)], "\(set.text)")
            #expect(try await server.call(.post, path, body: ["metadata": ["postern.policy": .null]]).json["metadata"] == [:])
        }
    }

    @Test func aSessionHasABoundOfEvents() async throws {
        var limits = SessionLimits()
        limits.eventsPerSession = 1
        let server = try await Fixture(provider: NoAnswer(), limits: limits)
        let session = try await server.session(try await server.agent(), try await server.environment())
        let message: JSON = ["events": [["type": "user.message", "content": [["type": "text", "text": "hi"]]]]]
        #expect(try await server.call(.post, "/v1/sessions/\(session)/events", body: message).status == 200)
        let refused = try await server.call(.post, "/v1/sessions/\(session)/events", body: message)
        #expect(refused.status == 400 && refused.headers[.shouldRetry] == "false" && refused.message?.contains("max_events_per_session") == true)
        #expect(try await server.call(.post, "/v1/sessions/\(session)", body: ["title": "t"]).status == 400)
        #expect(try await server.call(.post, "/v1/sessions/\(session)/events", body: ["events": [["type": "user.interrupt"]]]).status == 200)
    }
}
