import FoundationEssentials
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternJSON
import PosternTLS
import PosternTunnelWire

/// The directory over HTTP: Postern's own routes below `/postern/v1/edge`, with an API key of the role `edge`.
package struct ControlPlaneDirectory: EdgeDirectory {
    private let client: ManagedAgentsClient
    /// The edge's name among those of one control plane.
    private let edge: String
    /// Seconds for which an answer without news is held back.
    private let poll: Int

    package init(client: ManagedAgentsClient, edge: String, poll: Int = 50) {
        self.client = client
        self.edge = edge
        self.poll = poll
    }

    package func tunnels(after revision: Int?) async throws(EdgeDirectoryError) -> EdgeTunnels {
        let wait = revision == nil ? 0 : poll
        let call = ManagedAgentsClient.CallOptions(
            headers: ["postern-poll-seconds": String(wait)], timeout: .seconds(wait + 15), retry: RetryPolicy.none)
        let answer = try await Self.asking { () async throws(ClientError) -> JSONObject in
            try await client.request(.get, "/postern/v1/edge/tunnels", query: ["after": revision.map(String.init)], options: call).object()
        }
        guard let number = answer["revision"]?.int, let list = answer["tunnels"]?.array else { throw Self.malformed("revision and tunnels") }
        var tunnels: [EdgeTunnel] = []
        for item in list { tunnels.append(try Self.tunnel(item)) }
        // A control plane before this answers without them: then certificates open nothing.
        var authorities: [String: String] = [:]
        for item in answer["runtime_authorities"]?.array ?? [] {
            guard let workspace = item["workspace_id"]?.string, let pem = item["certificate_pem"]?.string else {
                throw Self.malformed("workspace_id and certificate_pem of a runtime authority")
            }
            authorities[workspace] = pem
        }
        return EdgeTunnels(revision: Int(number), tunnels: tunnels, authorities: authorities)
    }

    private static func tunnel(_ json: JSON) throws(EdgeDirectoryError) -> EdgeTunnel {
        guard let id = json["id"]?.string, let domain = json["domain"]?.string.flatMap(HostName.canonical),
            let workspace = json["workspace_id"]?.string,
            let splices = json["splice"]?.bool, let keys = json["connector_keys"]?.array
        else { throw malformed("id, domain, workspace_id, splice and connector_keys of a tunnel") }
        return EdgeTunnel(
            id: id, domain: domain, workspaceID: workspace, splices: splices, connectorKeys: Set(keys.compactMap(\.string)),
            registrations: Int(json["registrations"]?.int ?? 0))
    }

    package func enrol(token: String, connectorKey: [UInt8]) async throws(EdgeDirectoryError) -> EdgeEnrolment {
        let body: JSON = ["tunnel_token": .string(token), "connector_key": .string(Data(connectorKey).base64EncodedString())]
        do {
            let answer = try await client.request(.post, "/postern/v1/edge/enrolments", body: body, options: Self.once).object()
            guard let id = answer["tunnel_id"]?.string, let fingerprint = answer["connector_key"]?.string else {
                throw Self.malformed("tunnel_id and connector_key")
            }
            return .enrolled(tunnelID: id, fingerprint: fingerprint)
        } catch let error as EdgeDirectoryError {
            throw error
        } catch {
            if let refusal = Self.refusal(error as? ClientError) { return .refused(refusal) }
            throw Self.failure(error)
        }
    }

    /// The message of a refused enrolment begins with its reason.
    private static func refusal(_ error: ClientError?) -> LegRefusal? {
        guard case .api(let failure) = error, (400..<500).contains(failure.error.status) else { return nil }
        let message = failure.error.message
        let reason = [LegRefusal.Reason.tokenUnknown, .tokenRotated, .tunnelArchived].first { message.hasPrefix($0.rawValue) }
        if let reason { return LegRefusal(reason, message) }
        // The token is good and the key is not: revoked, another tunnel's, or one more than a tunnel may have. Everything else is the edge's own
        // fault, not the connector's.
        let isOfKey = message.hasPrefix("key_") || message.hasPrefix("too_many_keys") || failure.error.status == 400
        return isOfKey ? LegRefusal(.notEnrolled, message) : nil
    }

    package func authorize(credential: String, tunnelID: String) async throws(EdgeDirectoryError) -> EdgePrincipal? {
        let body: JSON = ["credential": .string(credential), "tunnel_id": .string(tunnelID)]
        do {
            let answer = try await client.request(.post, "/postern/v1/edge/authorizations", body: body, options: Self.once).object()
            guard let workspace = answer["workspace_id"]?.string, let principal = answer["principal"]?.string else {
                throw Self.malformed("workspace_id and principal")
            }
            return EdgePrincipal(workspaceID: workspace, id: principal)
        } catch let error as EdgeDirectoryError {
            throw error
        } catch {
            // 403 is said of the credential; 401 would be of the edge's own key.
            if (error as? ClientError)?.status == 403 { return nil }
            throw Self.failure(error)
        }
    }

    package func ended(_ principals: [String]) async throws(EdgeDirectoryError) -> Set<String> {
        let body: JSON = ["principals": .array(principals.map(JSON.string))]
        let answer = try await Self.asking { () async throws(ClientError) -> JSONObject in
            try await client.request(.post, "/postern/v1/edge/principals", body: body, options: Self.once).object()
        }
        guard let ended = answer["ended"]?.array else { throw Self.malformed("ended") }
        return Set(ended.compactMap(\.string))
    }

    package func registrations(tunnelID: String, since: Int) async throws(EdgeDirectoryError) -> JSON {
        try await Self.asking { () async throws(ClientError) -> JSON in
            try await client.request(
                .get, "/postern/v1/edge/tunnels/\(tunnelID)/registrations", query: ["since": String(since)], options: Self.once
            ).json()
        }
    }

    package func report(_ legs: [String: [EdgeLegReport]]) async throws(EdgeDirectoryError) {
        let tunnels = legs.sorted { $0.key < $1.key }.map { id, legs -> JSON in
            ["tunnel_id": .string(id), "legs": .array(legs.map(Self.json))]
        }
        let body: JSON = ["edge": .string(edge), "tunnels": .array(tunnels)]
        _ = try await Self.asking { () async throws(ClientError) -> ClientAnswer in
            try await client.request(.put, "/postern/v1/edge/connectors", body: body, options: Self.once)
        }
    }

    private static func json(_ leg: EdgeLegReport) -> JSON {
        var object: JSONObject = [
            "connector_key": .string(leg.connectorKey), "version": .string(leg.version), "since": .string(text(leg.since)),
            "streams": JSON(leg.streams), "bytes_in": JSON(leg.bytesIn), "bytes_out": JSON(leg.bytesOut),
        ]
        object["certificate_expires_at"] = leg.certificateExpires.map { .string(text($0)) }
        return .object(object)
    }

    private static func text(_ seconds: Int) -> String { Timestamp(microseconds: Int64(seconds) * 1_000_000).description }

    /// A caller waits for the answer, so it is asked for once more at most.
    private static let once = ManagedAgentsClient.CallOptions(timeout: .seconds(8), retry: RetryPolicy(maximumRetries: 1))

    private static func asking<Answer>(_ body: () async throws(ClientError) -> Answer) async throws(EdgeDirectoryError) -> Answer {
        do throws(ClientError) {
            return try await body()
        } catch {
            throw failure(error)
        }
    }

    private static func failure(_ error: any Error) -> EdgeDirectoryError { EdgeDirectoryError("the control plane: \(error)") }

    private static func malformed(_ what: String) -> EdgeDirectoryError { EdgeDirectoryError("the control plane's answer lacks \(what)") }
}
