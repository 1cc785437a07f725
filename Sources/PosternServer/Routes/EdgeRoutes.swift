import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// What edges ask: `/postern/v1/edge/…`. A key with the role `edge` opens these routes and nothing else.
struct EdgeRoutes {
    let edges: EdgeService
    let revocations: Revocations

    var routes: [Route] {
        let (edges, revocations) = (edges, revocations)
        let root = "/postern/v1/edge"
        return [
            Route(.get, root + "/tunnels", .edge, "Wait for a change of the tunnels that are not archived", query: ["after"]) {
                call async throws(APIError) in
                let after = try call.query.int("after")
                guard let wait = try call.pollWait(least: 0) else { return .json(try await edges.liveTunnels(after: after, wait: nil).json) }
                guard case .apiKey(let key) = try call.caller() else { throw .internalError }
                let live = try await call.whileConnected(key, revocations) { () async throws(APIError) in
                    try await edges.liveTunnels(after: after, wait: wait)
                }
                return .json(live.json)
            },
            Route(.post, root + "/enrolments", .edge, "Enrol a connector's key with a tunnel's token", takesBody: true) {
                call async throws(APIError) in
                let (tunnel, fingerprint) = try await edges.enrol(try EdgeParams.Enrolment(try await call.body()))
                return .json(
                    [
                        "tunnel_id": .string(tunnel.id), "domain": .string(tunnel.domain), "workspace_id": .string(tunnel.workspaceID),
                        "connector_key": .string(fingerprint),
                    ] as JSONObject)
            },
            Route(
                .get, root + "/tunnels/{tunnel_id}/registrations", .edge, "Get the signed head of a tunnel's log and what follows", query: ["since"]
            ) { call async throws(APIError) in
                .json(try await edges.registrations(try call.parameter("tunnel_id"), since: try RegistrationRoutes.number(call, "since") ?? 0))
            },
            Route(.post, root + "/authorizations", .edge, "Ask whether a credential opens a tunnel", takesBody: true) { call async throws(APIError) in
                let (workspace, principal) = try await edges.authorize(try EdgeParams.Authorization(try await call.body()))
                return .json(["workspace_id": .string(workspace), "principal": .string(principal)] as JSONObject)
            },
            Route(.post, root + "/principals", .edge, "Ask whose credentials have ended", takesBody: true) { call async throws(APIError) in
                let ended = try await edges.ended(try EdgeParams.Principals(try await call.body()))
                return .json(["ended": .array(ended.map(JSON.string))] as JSONObject)
            },
            Route(.put, root + "/connectors", .edge, "Report the legs that an edge holds", takesBody: true) { call async throws(APIError) in
                try edges.report(try EdgeParams.Report(try await call.body()))
                return .empty
            },
        ]
    }
}
