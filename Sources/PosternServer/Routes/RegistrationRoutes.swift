import HTTPTypes
import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// The log of a tunnel's registrations, statements and the owner's key: Postern's own, under `/postern/v1/tunnels`.
struct RegistrationRoutes {
    let tunnels: TunnelService

    private static let own = "/postern/v1/tunnels/{tunnel_id}"

    var routes: [Route] { log + statements }

    private var log: [Route] {
        let tunnels = tunnels
        return [
            Route(.get, Self.own + "/registrations", .client(.viewer), "List a tunnel's registrations", query: ["after", "limit"]) {
                call async throws(APIError) in
                let after = try Self.number(call, "after") ?? 0
                let (entries, size) = try await tunnels.registrations(
                    try call.parameter("tunnel_id"), workspaceID: try call.workspaceID(), from: after,
                    limit: try call.query.limit(default: 100, maximum: 1000))
                let data = entries.enumerated().map { index, entry -> JSON in
                    ["position": JSON(after + index), "entry": .string(String(decoding: entry, as: UTF8.self))]
                }
                return .json(["type": "registrations_page", "size": JSON(size), "data": .array(data)] as JSONObject)
            },
            Route(
                .get, Self.own + "/registrations/head", .client(.viewer), "Get the signed head of a tunnel's log and what follows", query: ["since"]
            ) { call async throws(APIError) in
                .json(
                    try await tunnels.registrationHead(
                        try call.parameter("tunnel_id"), workspaceID: try call.workspaceID(), since: try Self.number(call, "since") ?? 0))
            },
        ]
    }

    private var statements: [Route] {
        let tunnels = tunnels
        return [
            Route(.get, Self.own + "/certificates", .client(.viewer), "List a tunnel's certificates with the times from which they count") {
                call async throws(APIError) in
                let list = try await tunnels.registeredCertificates(try call.parameter("tunnel_id"), workspaceID: try call.workspaceID())
                let now = tunnels.time
                return .page(list.map { $0.json(now: now).encoded }, next: nil, last: .null)
            },
            Route(
                .post, Self.own + "/certificates/{certificate_id}/endorse", .client(.admin), "Let a certificate that waits count by a statement",
                takesBody: true
            ) { call async throws(APIError) in
                let statement = try TunnelParams.endorsement(try await call.body())
                let certificate = try await tunnels.endorseCertificate(
                    try call.parameter("certificate_id"), statement: statement, try call.parameter("tunnel_id"), workspaceID: try call.workspaceID())
                return .json(certificate.json(now: tunnels.time))
            },
            Route(.post, Self.own + "/owner_key", .client(.admin), "Set the key that speaks for a tunnel's owner", takesBody: true) {
                call async throws(APIError) in
                let (key, statement) = try TunnelParams.ownerKey(try await call.body())
                let (id, workspace) = (try call.parameter("tunnel_id"), try call.workspaceID())
                let standing = try await tunnels.setOwnerKey(key, statement: statement, id, workspaceID: workspace)
                return .json(try await tunnels.tunnel(id, workspaceID: workspace).settingsJSON(standing))
            },
        ]
    }

    /// A number of entries.
    static func number(_ call: Call, _ name: String) throws(APIError) -> Int? {
        guard let number = try call.query.int(name) else { return nil }
        guard number >= 0 else { throw .invalid("\(name): Input should be greater than or equal to 0") }
        return number
    }
}
