import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON
import Testing

@testable import PosternServer

/// Every route with every kind of credential. The table is written by hand: it is the rule, not a copy of the code.
@Suite struct AccessTests {
    enum Kind: String, CaseIterable, Sendable {
        case none, garbage, foreignKey, environmentKey, siblingKey, sessionsToken, otherWorkspace, edge, viewer, developer, admin
    }

    private static let readers: Set<Kind> = [.viewer, .developer, .admin, .otherWorkspace]
    private static let writers: Set<Kind> = [.developer, .admin, .otherWorkspace]
    private static let admins: Set<Kind> = [.admin, .otherWorkspace]
    /// The queue is open to every key of the environment, a lease to its holder only.
    private static let queueKeys: Set<Kind> = [.environmentKey, .siblingKey]
    private static let all = Set(Kind.allCases)
    private static let work = "/v1/environments/{environment_id}/work"
    private static let session = "/v1/sessions/{session_id}"
    private static let tunnel = "/v1/tunnels/{tunnel_id}"
    private static let ownTunnel = "/postern/v1/tunnels/{tunnel_id}"

    /// Who gets past the door. What a caller from another workspace finds behind it is nothing; see `anotherWorkspaceSeesNothing`.
    static let table: [String: Set<Kind>] = [
        "POST /v1/agents": writers, "GET /v1/agents": readers, "GET /v1/agents/{agent_id}": readers, "POST /v1/agents/{agent_id}": writers,
        "POST /v1/agents/{agent_id}/archive": writers, "GET /v1/agents/{agent_id}/versions": readers,
        "POST /v1/environments": writers, "GET /v1/environments": readers, "GET /v1/environments/{environment_id}": readers,
        "POST /v1/environments/{environment_id}": writers, "POST /v1/environments/{environment_id}/archive": writers,
        "DELETE /v1/environments/{environment_id}": writers,
        "GET \(work)/poll": queueKeys, "GET \(work)": queueKeys, "POST \(work)/{work_id}/ack": queueKeys,
        "GET \(work)/stats": readers.union(queueKeys), "GET \(work)/{work_id}": readers, "POST \(work)/{work_id}": writers,
        "POST \(work)/{work_id}/heartbeat": [.environmentKey, .sessionsToken],
        "POST \(work)/{work_id}/stop": writers.union([.environmentKey, .sessionsToken]),
        "POST /v1/sessions": writers, "GET /v1/sessions": readers, "GET \(session)": readers.union([.environmentKey, .sessionsToken]),
        "POST \(session)": writers, "DELETE \(session)": writers, "POST \(session)/archive": writers, "GET \(session)/resources": readers,
        "POST \(session)/resources": writers, "GET \(session)/resources/{resource_id}": readers, "POST \(session)/resources/{resource_id}": writers,
        "DELETE \(session)/resources/{resource_id}": writers, "POST \(session)/events": writers.union([.environmentKey, .sessionsToken]),
        "GET \(session)/events": readers.union([.environmentKey, .sessionsToken]),
        "GET \(session)/events/stream": readers.union([.environmentKey, .sessionsToken]), "GET \(session)/threads": readers,
        "GET \(session)/threads/{thread_id}": readers, "POST \(session)/threads/{thread_id}/archive": writers,
        "GET \(session)/threads/{thread_id}/events": readers, "GET \(session)/threads/{thread_id}/stream": readers,
        "GET /v1/models": readers, "GET /v1/models/{model_id}": readers,
        "POST /postern/v1/environments/{environment_id}/keys": admins, "GET /postern/v1/environments/{environment_id}/keys": admins,
        "DELETE /postern/v1/environments/{environment_id}/keys/{key_id}": admins, "POST /postern/v1/keys": admins, "GET /postern/v1/keys": admins,
        "GET /postern/v1/keys/{key_id}": admins, "DELETE /postern/v1/keys/{key_id}": admins, "GET /postern/v1/workspaces": admins,
        "POST /v1/tunnels": admins, "GET /v1/tunnels": readers, "GET \(tunnel)": readers, "POST \(tunnel)/archive": admins,
        "POST \(tunnel)/reveal_token": admins, "POST \(tunnel)/rotate_token": admins, "POST \(tunnel)/certificates": admins,
        "GET \(tunnel)/certificates": readers, "GET \(tunnel)/certificates/{certificate_id}": readers,
        "POST \(tunnel)/certificates/{certificate_id}/archive": admins, "GET \(ownTunnel)/settings": readers, "POST \(ownTunnel)/settings": admins,
        "GET \(ownTunnel)/route_key": writers, "GET \(ownTunnel)/connectors": readers, "GET \(ownTunnel)/connector_keys": readers,
        "POST \(ownTunnel)/connector_keys/{fingerprint}/revoke": admins, "POST \(ownTunnel)/client_certificates": writers,
        "GET /postern/v1/runtime_authority": readers, "GET \(ownTunnel)/registrations": readers, "GET \(ownTunnel)/registrations/head": readers,
        "GET \(ownTunnel)/certificates": readers, "POST \(ownTunnel)/certificates/{certificate_id}/endorse": admins,
        "POST \(ownTunnel)/owner_key": admins, "GET /postern/v1/edge/tunnels/{tunnel_id}/registrations": [.edge, .admin],
        // An edge serves every workspace: no other workspace's admin may know what it knows.
        "GET /postern/v1/edge/tunnels": [.edge, .admin], "POST /postern/v1/edge/enrolments": [.edge, .admin],
        "POST /postern/v1/edge/principals": [.edge, .admin], "POST /postern/v1/edge/authorizations": [.edge, .admin],
        "PUT /postern/v1/edge/connectors": [.edge, .admin],
        // Making workspaces is for the first workspace's admins.
        "POST /postern/v1/workspaces": [.admin],
        "GET /healthz": all, "GET /readyz": all, "GET /metrics": all, "GET /openapi.json": all,
    ]

    @Test func theTableIsComplete() async throws {
        let server = try await Fixture()
        #expect(Set(server.responder.table.routes.map { "\($0.method.rawValue) \($0.pattern)" }) == Set(Self.table.keys))
    }

    @Test(arguments: table.keys.sorted()) func door(route: String) async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let secrets = try await secrets(server, leased)
        let parts = route.split(separator: " ")
        let method = try #require(HTTPRequest.Method(String(parts[0])))
        let thread = try await server.call(.get, "/v1/sessions/\(leased.session)/threads").json["data"]?.array?.first?["id"]?.string ?? ""
        let spare = try await server.apiKey("viewer")
        let tunnel = try await server.tunnel()
        let path = String(parts[1]).replacing("{environment_id}", with: leased.environment).replacing("{session_id}", with: leased.session)
            .replacing("{work_id}", with: leased.session).replacing("{agent_id}", with: try await server.agent()).replacing(
                "{thread_id}", with: thread
            )
            .replacing("{key_id}", with: spare.id).replacing("{model_id}", with: "m-1").replacing("{tunnel_id}", with: tunnel)
            .replacing("{certificate_id}", with: "tcrt_1").replacing("{fingerprint}", with: "f1").replacing("{resource_id}", with: "sesrsc_1")
        let allowed = Self.table[route] ?? []
        for kind in Kind.allCases {
            var body: JSON = [:]
            if path.hasSuffix("/events") { body = ["events": [["type": "user.tool_result", "tool_use_id": "sevt_1"]]] }
            if path.hasSuffix("/workspaces") { body = ["name": .string("w-\(kind.rawValue)")] }
            // A client may not post a worker's results; what it may post stands in the same place.
            if path.hasSuffix("/events"), ![.environmentKey, .siblingKey, .sessionsToken].contains(kind) {
                body = ["events": [["type": "user.interrupt"]]]
            }
            let reply = try await server.call(method, path, key: secrets[kind] ?? "", body: method == .get ? nil : body)
            if allowed.contains(kind) {
                #expect(reply.status != 401 && reply.status != 403, "\(kind) \(reply.status) \(reply.text)")
            } else if kind == .none || kind == .garbage {
                #expect(reply.status == 401, "\(kind)")
            } else if [.edge, .viewer, .developer, .admin, .otherWorkspace].contains(kind),
                allowed.isSubset(of: [.environmentKey, .siblingKey, .sessionsToken])
            {
                #expect(reply.status == 401, "an API key where a worker's credential belongs: \(kind)")
            } else {
                #expect(reply.status == 403 && reply.type == "permission_error", "\(kind) \(reply.status)")
            }
        }
    }

    @Test func anotherWorkspaceSeesNothing() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let agent = try await server.agent()
        let stranger = try await secrets(server, leased)[.otherWorkspace] ?? ""
        let environment = "/v1/environments/\(leased.environment)"
        let session = "/v1/sessions/\(leased.session)"
        for (method, path) in [
            (HTTPRequest.Method.get, "/v1/agents/\(agent)"), (.post, "/v1/agents/\(agent)"), (.post, "/v1/agents/\(agent)/archive"),
            (.get, "/v1/agents/\(agent)/versions"), (.get, environment), (.post, environment), (.delete, environment),
            (.post, environment + "/archive"),
            (.get, environment + "/work/stats"), (.get, environment + "/work/\(leased.session)"),
            (.post, environment + "/work/\(leased.session)/stop"),
            (.get, session), (.post, session), (.delete, session), (.post, session + "/archive"), (.get, session + "/events"),
            (.post, session + "/events"), (.get, session + "/events/stream"), (.get, session + "/threads"), (.get, session + "/resources"),
            (.get, "/postern" + environment + "/keys"), (.post, "/postern" + environment + "/keys"),
        ] {
            let reply = try await server.call(method, path, key: stranger, body: method == .post ? [:] : nil)
            #expect(reply.status == 404, "\(method) \(path) \(reply.status)")
        }
        for path in ["/v1/agents", "/v1/environments", "/v1/sessions"] {
            #expect(try await server.call(.get, path, key: stranger).json["data"] == [])
        }
        let borrowed = try await server.call(
            .post, "/v1/sessions", key: stranger, body: ["agent": .string(agent), "environment_id": .string(leased.environment)])
        #expect(borrowed.status == 404)
        let keys = try await server.call(.get, "/postern/v1/keys?workspace_id=\(server.workspaceID)", key: stranger)
        #expect(keys.status == 403)
        #expect(try await server.call(.get, "/postern/v1/workspaces", key: stranger).json["data"]?.array?.count == 1)
    }

    @Test(arguments: [
        "user.message", "user.interrupt", "user.tool_confirmation", "user.define_outcome", "system.message", "agent.message", "session.status_idle",
        "",
    ])
    func aWorkerPostsResultsOnly(type: String) async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        for secret in [leased.key, leased.token] {
            let events: JSON = [
                ["type": "user.tool_result", "tool_use_id": "sevt_1"], ["type": .string(type), "content": [["type": "text", "text": "x"]]],
            ]
            let reply = try await server.call(.post, "/v1/sessions/\(leased.session)/events", key: secret, body: ["events": events])
            #expect(reply.status == 403 && reply.type == "permission_error")
        }
        #expect(try await server.call(.get, "/v1/sessions/\(leased.session)/events").json["data"] == [])
    }

    @Test func aWorkerReadsOnlyWhatItHolds() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        // Another session of the same environment, polled by nobody.
        let other = try await server.session(try await server.agent(), leased.environment)
        for secret in [leased.key, leased.token] {
            for path in ["", "/events", "/events/stream"] {
                #expect(try await server.call(.get, "/v1/sessions/\(leased.session)\(path)", key: secret).status == 200)
                #expect(try await server.call(.get, "/v1/sessions/\(other)\(path)", key: secret).status == 403)
            }
        }
        let foreign = try await server.call(.post, "/v1/environments/\(leased.environment)/work/\(other)/heartbeat", key: leased.token)
        #expect(foreign.status == 403)
        // Once the item is stopped the lease is gone, and with it the session.
        _ = try await server.call(.post, "/v1/environments/\(leased.environment)/work/\(leased.session)/stop", body: ["force": true])
        for secret in [leased.key, leased.token] {
            let reply = try await server.call(.get, "/v1/sessions/\(leased.session)", key: secret)
            #expect([401, 403].contains(reply.status))
        }
    }

    @Test func aWorkerLearnsThatASessionIsGoneAndNothingElse() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        let agent = try await server.agent()
        let gone = try await server.session(agent, leased.environment)
        let there = try await server.session(agent, try await server.environment("other"))
        let foreign = try await server.session(agent, try await server.environment("third"))
        // Seen by its own environment's worker before, so that it is deleted from every memory too.
        #expect(try await server.call(.get, "/v1/sessions/\(gone)", key: leased.key).status == 403)
        for session in [gone, foreign] { #expect(try await server.call(.delete, "/v1/sessions/\(session)").status == 200) }
        let absent = ResourceID.make(.session)
        for (path, method) in [("", HTTPRequest.Method.get), ("/events", .get), ("/events/stream", .get), ("/events", .post)] {
            let body: JSON? = method == .post ? ["events": [["type": "user.tool_result", "tool_use_id": "sevt_1"]]] : nil
            for session in [gone, foreign, absent, "nonsense"] {
                let reply = try await server.call(method, "/v1/sessions/\(session)\(path)", key: leased.key, body: body)
                #expect(reply.status == 404 && reply.type == "not_found_error", "\(method) \(path) \(reply.status)")
                #expect(reply.message == "Session \(session) not found.")
                // A sessions token is for one session and learns nothing about others.
                #expect(try await server.call(method, "/v1/sessions/\(session)\(path)", key: leased.token, body: body).status == 403)
                // What a worker may not do at all is refused before anybody looks.
                #expect(try await server.call(.delete, "/v1/sessions/\(session)", key: leased.key).status == 403)
            }
            // One that is there is refused, of whichever environment or workspace.
            let reply = try await server.call(method, "/v1/sessions/\(there)\(path)", key: leased.key, body: body)
            #expect(reply.status == 403 && reply.type == "permission_error")
        }
        // A revoked key learns nothing at all.
        _ = try await server.call(.delete, "/postern/v1/environments/\(leased.environment)/keys/\(leased.keyID)")
        #expect(try await server.call(.get, "/v1/sessions/\(absent)", key: leased.key).status == 401)
    }

    @Test func theHolderOfALeaseLearnsThatItsSessionIsGone() async throws {
        let server = try await Fixture()
        let leased = try await server.leasedSession()
        #expect(try await server.call(.get, "/v1/sessions/\(leased.session)", key: leased.key).status == 200)
        #expect(try await server.call(.delete, "/v1/sessions/\(leased.session)").status == 200)
        #expect(try await server.call(.get, "/v1/sessions/\(leased.session)", key: leased.key).status == 404)
        #expect(try await server.call(.get, "/v1/sessions/\(leased.session)", key: leased.token).status == 401)
    }

    private func secrets(_ server: Fixture, _ leased: Fixture.Leased) async throws -> [Kind: String] {
        let workspace = try await server.call(.post, "/postern/v1/workspaces", body: ["name": "other"]).id
        let stranger = try await server.call(
            .post, "/postern/v1/keys", body: ["name": "k", "role": "admin", "workspace_id": .string(workspace)]
        ).json["secret"]?.string
        return [
            .none: "", .garbage: "sk-postern-env-garbage", .edge: try await server.apiKey("edge").secret,
            .viewer: try await server.apiKey("viewer").secret,
            .developer: try await server.apiKey("developer").secret, .admin: server.admin, .environmentKey: leased.key, .sessionsToken: leased.token,
            .siblingKey: try await server.environmentKey(leased.environment).secret,
            .foreignKey: try await server.environmentKey(try await server.environment("other")).secret, .otherWorkspace: stranger ?? "",
        ]
    }
}
