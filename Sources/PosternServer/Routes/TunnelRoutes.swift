import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// `/v1/tunnels` (contract section 2.12), and what Postern adds under `/postern/v1/tunnels`: settings, connectors and their keys, client certificates.
struct TunnelRoutes {
    let tunnels: TunnelService
    let edges: EdgeService

    var routes: [Route] { resources + tokens + certificates + additions + runtimes + RegistrationRoutes(tunnels: tunnels).routes }

    private static let one = "/v1/tunnels/{tunnel_id}"
    private static let own = "/postern/v1/tunnels/{tunnel_id}"

    private var resources: [Route] {
        let tunnels = tunnels
        return [
            Route(.post, "/v1/tunnels", .client(.admin), "Create a tunnel", takesBody: true) { call async throws(APIError) in
                let asked = try TunnelParams.creation(try await call.optionalBody())
                return .json(
                    try await tunnels.create(
                        displayName: asked.displayName, registration: asked.registration ?? "signed", hidesRoutes: asked.hidesRoutes ?? false,
                        workspaceID: try call.workspaceID()
                    ).json)
            },
            Route(.get, "/v1/tunnels", .client(.viewer), "List tunnels", query: ["include_archived", "limit", "page"]) {
                call async throws(APIError) in
                let workspace = try call.workspaceID()
                let list = "tunnels:" + workspace
                let page = try await tunnels.tunnels(
                    workspaceID: workspace, includeArchived: try call.query.bool("include_archived") ?? false,
                    from: try call.query.position(list, .descending), limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { $0.json.encoded }
            },
            Route(.get, Self.one, .client(.viewer), "Get a tunnel") { call async throws(APIError) in
                .json(try await tunnels.tunnel(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()).json)
            },
            Route(.post, Self.one + "/archive", .client(.admin), "Archive a tunnel and its certificates for good") { call async throws(APIError) in
                .json(try await tunnels.archive(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()).json)
            },
        ]
    }

    private var tokens: [Route] {
        let tunnels = tunnels
        return [
            Route(.post, Self.one + "/reveal_token", .client(.admin), "Show the token that enrols connectors") { call async throws(APIError) in
                Self.answer(try await tunnels.revealToken(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()))
            },
            Route(.post, Self.one + "/rotate_token", .client(.admin), "Replace the token that enrols connectors", takesBody: true) {
                call async throws(APIError) in
                let reason = try TunnelParams.reason(try await call.optionalBody())
                return Self.answer(
                    try await tunnels.rotateToken(try call.parameter("tunnel_id"), reason: reason, workspaceID: try call.workspaceID()))
            },
        ]
    }

    private static func answer(_ token: (id: String, token: String)) -> Answer {
        .json(["id": .string(token.id), "type": "tunnel_token", "tunnel_token": .string(token.token)] as JSONObject)
    }

    private var certificates: [Route] {
        let tunnels = tunnels
        let root = Self.one + "/certificates"
        return [
            Route(.post, root, .client(.admin), "Register a certificate authority for a tunnel", takesBody: true) { call async throws(APIError) in
                let (pem, statement) = try TunnelParams.authority(try await call.body())
                return .json(
                    try await tunnels.addCertificate(
                        pem: pem, statement: statement, try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()
                    ).json)
            },
            Route(.get, root, .client(.viewer), "List a tunnel's certificates", query: ["include_archived", "limit", "page"]) {
                call async throws(APIError) in
                let id = try call.parameter("tunnel_id")
                let list = "tunnel_certificates:" + id
                let page = try await tunnels.certificates(
                    id, workspaceID: try call.workspaceID(), includeArchived: try call.query.bool("include_archived") ?? false,
                    from: try call.query.position(list, .descending), limit: try call.query.limit(default: 20, maximum: 1000))
                return page.answer(list, last: .null) { $0.json.encoded }
            },
            Route(.get, root + "/{certificate_id}", .client(.viewer), "Get a tunnel's certificate") { call async throws(APIError) in
                .json(
                    try await tunnels.certificate(
                        try call.parameter("certificate_id"), try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()
                    ).json)
            },
            Route(.post, root + "/{certificate_id}/archive", .client(.admin), "Archive a tunnel's certificate for good") {
                call async throws(APIError) in
                .json(
                    try await tunnels.archiveCertificate(
                        try call.parameter("certificate_id"), try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()
                    ).json)
            },
        ]
    }

    private var additions: [Route] {
        let (tunnels, edges) = (tunnels, edges)
        return [
            Route(.get, Self.own + "/settings", .client(.viewer), "Get a tunnel's settings") { call async throws(APIError) in
                let (id, workspace) = (try call.parameter("tunnel_id"), try call.workspaceID())
                let tunnel = try await tunnels.tunnel(id, workspaceID: workspace)
                return .json(tunnel.settingsJSON(try await tunnels.registrationStanding(id, workspaceID: workspace)))
            },
            Route(.post, Self.own + "/settings", .client(.admin), "Change a tunnel's settings", takesBody: true) { call async throws(APIError) in
                let settings = try TunnelParams.Settings(try await call.body())
                let (id, workspace) = (try call.parameter("tunnel_id"), try call.workspaceID())
                // What can be refused comes first.
                if let mode = settings.registration {
                    _ = try await tunnels.setRegistration(mode, statement: settings.statement, id, workspaceID: workspace)
                }
                let tunnel = try await tunnels.change(id, splice: settings.splice, hidesRoutes: settings.hidesRoutes, workspaceID: workspace)
                return .json(tunnel.settingsJSON(try await tunnels.registrationStanding(id, workspaceID: workspace)))
            },
            Route(.get, Self.own + "/route_key", .client(.developer), "Get the key by which a tunnel's routes have ids") {
                call async throws(APIError) in
                let id = try call.parameter("tunnel_id")
                let key = try await tunnels.routeKey(id, workspaceID: try call.workspaceID())
                return .json(["type": "tunnel_route_key", "tunnel_id": .string(id), "route_key": .string(key)] as JSONObject)
            },
            Route(.get, Self.own + "/connectors", .client(.viewer), "List a tunnel's legs as edges report them") { call async throws(APIError) in
                let legs = try await edges.legs(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID())
                return .page(legs.map(\.json.encoded), next: nil, last: .null)
            },
            Route(.get, Self.own + "/connector_keys", .client(.viewer), "List a tunnel's connector keys") { call async throws(APIError) in
                let keys = try await tunnels.connectorKeys(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID())
                return .page(keys.map(\.json.encoded), next: nil, last: .null)
            },
            Route(.post, Self.own + "/connector_keys/{fingerprint}/revoke", .client(.admin), "Revoke a connector key for good") {
                call async throws(APIError) in
                .json(
                    try await tunnels.revokeConnectorKey(
                        try call.parameter("fingerprint"), try call.parameter("tunnel_id"), workspaceID: try call.workspaceID()
                    ).json)
            },
        ]
    }

    private var runtimes: [Route] {
        let tunnels = tunnels
        return [
            Route(.get, "/postern/v1/runtime_authority", .client(.viewer), "Get the authority that signs the workspace's runtime certificates") {
                call async throws(APIError) in
                let authority = try await tunnels.runtimeAuthority(workspaceID: try call.workspaceID())
                return .json(
                    [
                        "type": "runtime_authority", "workspace_id": .string(authority.workspaceID),
                        "certificate_pem": .string(authority.certificatePEM),
                    ] as JSONObject)
            },
            Route(
                .post, Self.own + "/client_certificates", .client(.developer), "Issue a short-lived client certificate for a tunnel", takesBody: true
            ) { call async throws(APIError) in
                let params = try ClientCertificateParams(try await call.body())
                guard case .apiKey(let key) = try call.caller() else { throw .internalError }
                let issued = try await tunnels.issueCertificate(
                    params, try call.parameter("tunnel_id"), workspaceID: key.workspaceID, person: key.id)
                return .json(
                    [
                        "type": "tunnel_client_certificate", "certificate_pem": .string(issued.pem),
                        "expires_at": .string(issued.expiresAt.description), "domain": .string(issued.domain),
                        "ca_certificates_pem": .array(issued.authorities.map(JSON.string)),
                    ] as JSONObject)
            },
        ]
    }
}
