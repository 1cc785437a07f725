import ManagedAgentsAPI
import PosternJSON
import Synchronization

/// What edges ask the control plane: which tunnels there are, whether a token enrols a key, whether a credential may call, and what they report.
package final class EdgeService: Sendable {
    private let tunnels: TunnelService
    private let keys: KeyService
    private let work: WorkService
    private let board = Mutex(ConnectorBoard())

    /// Keys of one tunnel that are not revoked.
    package static let mostConnectorKeys = 16

    package init(tunnels: TunnelService, keys: KeyService, work: WorkService) {
        self.tunnels = tunnels
        self.keys = keys
        self.work = work
    }

    // MARK: Tunnels

    /// Every tunnel that is not archived, once the revision is another one than `revision` or `wait` is over.
    package func liveTunnels(after revision: Int?, wait: Duration?) async throws(APIError) -> LiveTunnels {
        let deadline = ContinuousClock.now.advanced(by: wait ?? .zero)
        while true {
            let seen = tunnels.changes.count()
            let live = try await stored { () async throws(StoreError) in try await tunnels.store.liveTunnels() }
            let left = deadline - .now
            // Another one, not a greater one: a store that came back from a backup counts from less.
            guard live.revision == revision, left > .zero, !Task.isCancelled else { return live }
            await tunnels.changes.wait(since: seen, atMost: left)
        }
    }

    // MARK: Enrolment

    /// Enrols a connector's key with a tunnel's token. The edge has seen that the connector holds the key. Repeating it changes nothing.
    /// - Throws: 401 with the reason.
    package func enrol(_ params: EdgeParams.Enrolment) async throws(APIError) -> (tunnel: TunnelRecord, fingerprint: String) {
        let fingerprint = try tunnels.credentials.fingerprint(ofConnectorKey: params.key)
        while true {
            let (tunnel, token) = try await find(params.token)
            if tunnel.archivedAt != nil { throw Refusal.archived(tunnel.id) }
            guard token.rotatedAt == nil, tunnel.tokenID == token.id else { throw Refusal.rotated }
            let key = ConnectorKeyRecord(fingerprint: fingerprint, tunnelID: tunnel.id, tokenID: token.id, enrolledAt: tunnels.now())
            let outcome = try await tunnels.registered(.connectorKeyEnrolled(fingerprint: fingerprint), tunnel) { (append) async throws(StoreError) in
                try await tunnels.store.enrol(key, mostLive: Self.mostConnectorKeys, logging: append)
            }
            switch outcome {
            case .success:
                tunnels.changes.notify()
                return (tunnel, fingerprint)
            case .failure(.duplicate):
                let known = try await stored { () async throws(StoreError) in
                    try await tunnels.store.connectorKey(fingerprint, tunnelID: tunnel.id)
                }
                guard let known else { throw Refusal.ofAnotherTunnel(fingerprint) }
                guard known.revokedAt == nil else { throw Refusal.revoked(fingerprint) }
                return (tunnel, fingerprint)
            case .failure(.conflict):
                // The token was rotated or the tunnel archived since they were read: then the next look says which.
                let (again, token) = try await find(params.token)
                guard again.archivedAt == nil, again.tokenID == token.id else { continue }
                throw Refusal.tooMany(tunnel.id)
            case .failure(let error): throw error.apiError
            }
        }
    }

    /// The tunnel and token record of a token that this server has made. Nothing is said of a token before it has proved itself.
    private func find(_ token: String) async throws(APIError) -> (TunnelRecord, TunnelTokenRecord) {
        guard let id = tunnels.credentials.tokenID(in: token) else { throw Refusal.unknown }
        let record = try await stored { () async throws(StoreError) in try await tunnels.store.tunnelToken(id) }
        guard let record, tunnels.credentials.isToken(token, id, tunnelID: record.tunnelID) else { throw Refusal.unknown }
        let tunnel = try await stored { () async throws(StoreError) in try await tunnels.store.tunnel(record.tunnelID) }
        guard let tunnel else { throw Refusal.unknown }
        return (tunnel, record)
    }

    private enum Refusal {
        static let unknown = make(401, .authentication, "token_unknown", "no tunnel of this server has the token; reveal the tunnel's and give that")
        static let rotated = make(401, .authentication, "token_rotated", "the token was replaced by another; reveal the tunnel's and give that")
        static func archived(_ id: String) -> APIError {
            make(401, .authentication, "tunnel_archived", "tunnel \(id) is archived, which cannot be undone; create another")
        }
        static func revoked(_ key: String) -> APIError {
            make(401, .authentication, "key_revoked", "connector key \(key) was revoked for this tunnel; make another key")
        }
        static func ofAnotherTunnel(_ key: String) -> APIError {
            make(409, .invalidRequest, "key_of_another_tunnel", "connector key \(key) serves another tunnel; make another key")
        }
        static func tooMany(_ id: String) -> APIError {
            make(
                409, .invalidRequest, "too_many_keys", "tunnel \(id) has \(EdgeService.mostConnectorKeys) keys that are not revoked; revoke one first"
            )
        }

        private static func make(_ status: Int, _ kind: APIError.Kind, _ reason: String, _ text: String) -> APIError {
            var error = APIError(status, kind, "\(reason): \(text).", shouldRetry: false)
            error.reason = reason
            return error
        }
    }

    // MARK: Registrations

    /// The signed head of a tunnel's log for a connector that watches it. The edge has seen that the connector holds a key of the tunnel.
    package func registrations(_ tunnelID: String, since: Int) async throws(APIError) -> JSON {
        let tunnel = try await stored { () async throws(StoreError) in try await tunnels.store.tunnel(tunnelID) }
        guard let tunnel, tunnel.archivedAt == nil else { throw .notFound("Tunnel \(tunnelID) not found.") }
        return try await tunnels.head(of: tunnel, since: since)
    }

    // MARK: Authorisation

    /// The workspace of a credential that may call through the tunnel, and whose it is: an API key of the tunnel's workspace that may act, not only
    /// read, or the sessions token of a work item of that workspace.
    /// - Throws: 403, the same for every reason.
    package func authorize(_ params: EdgeParams.Authorization) async throws(APIError) -> (workspaceID: String, principal: String) {
        let refused = APIError.forbidden("The credential does not open this tunnel.")
        guard let holder = try await holder(of: params.credential) else { throw refused }
        let tunnel = try await stored { () async throws(StoreError) in try await tunnels.store.tunnel(params.tunnelID) }
        guard let tunnel, tunnel.archivedAt == nil, tunnel.workspaceID == holder.workspaceID else { throw refused }
        return holder
    }

    private func holder(of credential: String) async throws(APIError) -> (workspaceID: String, principal: String)? {
        guard Secrets.isSessionsToken(credential) else {
            guard case .valid(let key) = try await keys.look(up: credential), key.kind == .api, let role = key.role, role >= .developer
            else { return nil }
            return (key.workspaceID, key.id)
        }
        guard let item = try await work.work(tokenHash: keys.secrets.hash(credential)), try await holds(item) else { return nil }
        return (item.workspaceID, Self.principal(item))
    }

    /// Whether an item's sessions token opens anything now: it is worth no more than the lease, and than the key that it was given to.
    private func holds(_ item: WorkRecord) async throws(APIError) -> Bool {
        guard item.isLeased, let keyID = item.keyID else { return false }
        return try await keys.isValid(keyID)
    }

    /// Names one sessions token: that of one poll of the session's item.
    private static func principal(_ item: WorkRecord) -> String {
        let digits = (item.tokenHash ?? []).prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return item.sessionID + "." + digits.joined()
    }

    /// Those whose credential is revoked, expired or gone, and sessions that have ended, as certificates name them. Names of other kinds are not known
    /// to end.
    package func ended(_ params: EdgeParams.Principals) async throws(APIError) -> [String] {
        var ended: [String] = []
        for id in params.ids {
            let holds: Bool
            if let dot = id.firstIndex(of: "."), ResourceID.isWellFormed(String(id[..<dot]), .session) {
                let item = try await work.work(session: String(id[..<dot]))
                if let item, Self.principal(item) == id { holds = try await self.holds(item) } else { holds = false }
            } else if ResourceID.isWellFormed(id, .session) {
                holds = try await work.isLive(session: id)
            } else if ResourceID.isWellFormed(id, .apiKey) {
                holds = try await keys.isValid(id)
            } else {
                holds = true
            }
            if !holds { ended.append(id) }
        }
        return ended
    }

    // MARK: Connectors

    /// Replaces what the edge said before.
    package func report(_ report: EdgeParams.Report) throws(APIError) {
        let time = tunnels.now()
        let outcome: Result<Void, APIError> = board.withLock { board in
            do throws(APIError) { return .success(try board.take(report, at: time)) } catch { return .failure(error) }
        }
        try outcome.get()
    }

    package func legs(_ tunnelID: String, workspaceID: String) async throws(APIError) -> [ConnectorLeg] {
        _ = try await tunnels.tunnel(tunnelID, workspaceID: workspaceID)
        let time = tunnels.now()
        return board.withLock { $0.legs(of: tunnelID, at: time) }
    }
}
