import ManagedAgentsAPI
import PosternJSON

/// Tunnels, their tokens and certificates (contract section 2.12), and what Postern adds to them.
package final class TunnelService: Sendable {
    let store: any TunnelStore
    let credentials: any TunnelCredentials & RegistrationNotary
    let changes: TunnelChanges
    let now: @Sendable () -> Timestamp
    /// Below which tunnels get their domains; `nil` where the operator has set none.
    private let domain: String?

    /// Tunnels of one workspace that are not archived.
    package static let mostTunnels = 1000
    /// Certificates of one tunnel that are not archived: two, so that one can take over from the other.
    package static let mostCertificates = 2
    /// Keys of one tunnel in a list: the newest.
    package static let mostListedKeys = 1000
    /// How far before now a runtime certificate's validity begins: clocks differ.
    static let skew = Duration.seconds(300)

    package init(
        store: any TunnelStore, credentials: any TunnelCredentials & RegistrationNotary, domain: String?, changes: TunnelChanges = TunnelChanges(),
        now: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.store = store
        self.credentials = credentials
        self.domain = domain
        self.changes = changes
        self.now = now
    }

    // MARK: Tunnels

    /// - Parameters:
    ///   - registration: `signed`, or `api` where authorities count at once for as long as nobody changes it.
    ///   - hidesRoutes: whether the control plane calls its routes by ids from the first call on.
    package func create(
        displayName: String?, registration: String = "signed", hidesRoutes: Bool = false, workspaceID: String
    ) async throws(APIError) -> TunnelRecord {
        guard let domain else {
            throw .invalid(
                "This server has no tunnel domain, so tunnels cannot be created. Its operator sets one with --tunnel-domain, POSTERN_TUNNEL_DOMAIN or "
                    + "tunnel.domain.", details: ["error_code": "tunnel_domain_not_set"])
        }
        // 36^8 labels: a second try is rare, an eighth does not happen.
        for _ in 0..<8 {
            let tunnel = TunnelRecord(
                id: ResourceID.make(.tunnel), workspaceID: workspaceID, displayName: displayName, domain: "\(Self.label()).\(domain)",
                tokenID: ResourceID.make(.tunnelToken), hidesRoutes: hidesRoutes, createdAt: now())
            do {
                let entry = credentials.begin(tunnel, mode: registration, certificates: [], connectorKeys: [], at: tunnel.createdAt)
                try await store.create(tunnel, mostLive: Self.mostTunnels, first: entry)
                changes.notify()
                return tunnel
            } catch .duplicate {
                continue
            } catch .conflict {
                throw .invalid(
                    "The workspace has \(Self.mostTunnels) tunnels that are not archived, which is the most: archive one first.",
                    details: ["error_code": "tunnel_limit_reached"])
            } catch {
                throw error.apiError
            }
        }
        throw .internalError
    }

    package func tunnel(_ id: String, workspaceID: String) async throws(APIError) -> TunnelRecord {
        let tunnel = try await stored { () async throws(StoreError) in try await store.tunnel(id) }
        guard let tunnel, tunnel.workspaceID == workspaceID else { throw .notFound("Tunnel \(id) not found.") }
        return tunnel
    }

    package func tunnels(
        workspaceID: String, includeArchived: Bool, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<TunnelRecord> {
        try await stored { () async throws(StoreError) in
            try await store.tunnels(workspaceID: workspaceID, includeArchived: includeArchived, from: position, limit: limit)
        }
    }

    /// For good: its certificates are archived, its token and keys open nothing, its domain is never used again. Repeating it changes nothing.
    package func archive(_ id: String, workspaceID: String) async throws(APIError) -> TunnelRecord {
        let tunnel = try await tunnel(id, workspaceID: workspaceID)
        guard tunnel.archivedAt == nil else { return tunnel }
        let time = now()
        try await registered(.tunnelArchived, tunnel) { (append) async throws(StoreError) in
            try await store.archiveTunnel(id, at: time, logging: append)
        }.answer()
        changes.notify()
        return try await self.tunnel(id, workspaceID: workspaceID)
    }

    /// A tunnel that can still be changed.
    func liveTunnel(_ id: String, workspaceID: String) async throws(APIError) -> TunnelRecord {
        let tunnel = try await tunnel(id, workspaceID: workspaceID)
        guard tunnel.archivedAt == nil else { throw Self.archived(id) }
        return tunnel
    }

    private static func archived(_ id: String) -> APIError {
        .invalid("Tunnel \(id) is archived, which cannot be undone: create another.", details: ["error_code": "tunnel_archived"])
    }

    /// Changes what is given, all of it or nothing.
    package func change(_ id: String, splice: Bool? = nil, hidesRoutes: Bool? = nil, workspaceID: String) async throws(APIError) -> TunnelRecord {
        let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
        let splice = splice == tunnel.splice ? nil : splice
        let hidesRoutes = hidesRoutes == tunnel.hidesRoutes ? nil : hidesRoutes
        guard splice != nil || hidesRoutes != nil else { return tunnel }
        do {
            try await store.changeTunnel(id, splice: splice, hidesRoutes: hidesRoutes)
        } catch .conflict {
            throw Self.archived(id)
        } catch {
            throw error.apiError
        }
        changes.notify()
        return try await self.tunnel(id, workspaceID: workspaceID)
    }

    // MARK: Tokens

    /// The token that enrols connector keys now. A secret.
    package func revealToken(_ id: String, workspaceID: String) async throws(APIError) -> (id: String, token: String) {
        let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
        return (tunnel.tokenID, credentials.token(tunnel.tokenID, tunnelID: id))
    }

    /// What stands between a route's name and the id that edges get to see. No edge may have it.
    package func routeKey(_ id: String, workspaceID: String) async throws(APIError) -> String {
        credentials.routeKey(tunnelID: try await liveTunnel(id, workspaceID: workspaceID).id)
    }

    /// From now on the old token enrols nothing; keys that it has enrolled stay.
    package func rotateToken(_ id: String, reason: String?, workspaceID: String) async throws(APIError) -> (id: String, token: String) {
        while true {
            let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
            let new = TunnelTokenRecord(id: ResourceID.make(.tunnelToken), tunnelID: id, createdAt: now())
            do {
                try await store.rotateToken(tunnel.tokenID, to: new, reason: reason)
            } catch .conflict {
                continue  // another rotation was first, or the archiving
            } catch {
                throw error.apiError
            }
            changes.notify()
            return (new.id, credentials.token(new.id, tunnelID: id))
        }
    }

    // MARK: Certificates

    /// - Parameter statement: what the holder of a key that counts has signed for it; without one it may have to wait.
    package func addCertificate(
        pem: String, statement: JSON?, _ id: String, workspaceID: String
    ) async throws(APIError) -> TunnelCertificateRecord {
        let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
        let time = now()
        let (fingerprint, expiresAt) = try credentials.checkAuthority(pem: pem, now: time)
        let certificate = TunnelCertificateRecord(
            id: ResourceID.make(.tunnelCertificate), tunnelID: id, fingerprint: fingerprint, pem: pem, createdAt: time, expiresAt: expiresAt)
        let outcome = try await registered(.certificateAdded(fingerprint: fingerprint, pem: pem, statement: statement), tunnel) {
            (append) async throws(StoreError) in
            try await store.create(certificate, mostLive: Self.mostCertificates, logging: append)
        }
        switch outcome {
        case .success: return certificate
        case .failure(.duplicate): throw .conflict("Tunnel \(id) has this certificate already (fingerprint \(fingerprint)).")
        case .failure(.conflict):
            _ = try await liveTunnel(id, workspaceID: workspaceID)
            throw .invalid(
                "Tunnel \(id) has \(Self.mostCertificates) certificates that are not archived, which is the most: archive one first.",
                details: ["error_code": "tunnel_certificate_limit_reached"])
        case .failure(let error): throw error.apiError
        }
    }

    package func certificate(_ certificateID: String, _ id: String, workspaceID: String) async throws(APIError) -> TunnelCertificateRecord {
        _ = try await tunnel(id, workspaceID: workspaceID)
        let certificate = try await stored { () async throws(StoreError) in try await store.tunnelCertificate(certificateID) }
        guard let certificate, certificate.tunnelID == id else { throw .notFound("Certificate \(certificateID) not found.") }
        return certificate
    }

    package func certificates(
        _ id: String, workspaceID: String, includeArchived: Bool, from position: PagePosition?, limit: Int
    ) async throws(APIError) -> Page<TunnelCertificateRecord> {
        _ = try await tunnel(id, workspaceID: workspaceID)
        return try await stored { () async throws(StoreError) in
            try await store.tunnelCertificates(tunnelID: id, includeArchived: includeArchived, from: position, limit: limit)
        }
    }

    /// Nothing that it signed is accepted any more. The last one may go, too: then the tunnel takes no calls.
    package func archiveCertificate(_ certificateID: String, _ id: String, workspaceID: String) async throws(APIError) -> TunnelCertificateRecord {
        let certificate = try await certificate(certificateID, id, workspaceID: workspaceID)
        guard certificate.archivedAt == nil else { return certificate }
        let (tunnel, time) = (try await tunnel(id, workspaceID: workspaceID), now())
        try await registered(.certificateArchived(fingerprint: certificate.fingerprint), tunnel) { (append) async throws(StoreError) in
            try await store.archiveTunnelCertificate(certificateID, at: time, logging: append)
        }.answer()
        return try await self.certificate(certificateID, id, workspaceID: workspaceID)
    }

    // MARK: Connector keys

    package func connectorKeys(_ id: String, workspaceID: String) async throws(APIError) -> [ConnectorKeyRecord] {
        _ = try await tunnel(id, workspaceID: workspaceID)
        return try await stored { () async throws(StoreError) in try await store.connectorKeys(tunnelID: id, limit: Self.mostListedKeys) }
    }

    /// For good: edges cut the key's legs, and no token enrols it for this tunnel again. Repeating it changes nothing.
    package func revokeConnectorKey(_ fingerprint: String, _ id: String, workspaceID: String) async throws(APIError) -> ConnectorKeyRecord {
        let (tunnel, time) = (try await tunnel(id, workspaceID: workspaceID), now())
        let isRevoked = try await registered(.connectorKeyRevoked(fingerprint: fingerprint), tunnel) { (append) async throws(StoreError) in
            try await store.revokeConnectorKey(fingerprint, tunnelID: id, at: time, logging: append)
        }.answer()
        if isRevoked { changes.notify() }
        let key = try await stored { () async throws(StoreError) in try await store.connectorKey(fingerprint, tunnelID: id) }
        guard let key else { throw .notFound("Connector key \(fingerprint) not found.") }
        return key
    }

    // MARK: Runtimes

    /// The authority that signs the workspace's runtime certificates; made when it is first asked for.
    package func runtimeAuthority(workspaceID: String) async throws(APIError) -> RuntimeAuthorityRecord {
        func read() async throws(APIError) -> RuntimeAuthorityRecord? {
            try await stored { () async throws(StoreError) in try await store.runtimeAuthority(workspaceID: workspaceID) }
        }
        if let authority = try await read() { return authority }
        let made = try credentials.makeRuntimeAuthority(workspaceID: workspaceID, now: now())
        do {
            try await store.create(made)
            changes.notify()
            return made
        } catch .conflict {
            // Another request made one at the same time: that one holds.
            guard let authority = try await read() else { throw .internalError }
            return authority
        } catch {
            throw error.apiError
        }
    }

    /// A client certificate for one tunnel, and the authorities by which its holder knows the tunnel's connectors.
    /// - Parameter person: The id of the API key that asks.
    package func issueCertificate(
        _ params: ClientCertificateParams, _ id: String, workspaceID: String, person: String
    ) async throws(APIError) -> IssuedCertificate {
        let tunnel = try await liveTunnel(id, workspaceID: workspaceID)
        let authority = try await runtimeAuthority(workspaceID: workspaceID)
        let time = now()
        let end = time.advanced(by: .seconds(params.seconds))
        let client = RuntimeClient(tunnelID: id, workspaceID: workspaceID, person: person, client: params.client, routes: params.routes)
        let pem = try credentials.issue(client, request: params.request, by: authority, from: time.advanced(by: .zero - Self.skew), until: end)
        let certificates = try await registeredCertificates(tunnel).filter { $0.countsAt <= time }
        return IssuedCertificate(pem: pem, expiresAt: end, domain: tunnel.domain, authorities: certificates.map(\.certificate.pem))
    }

    package struct IssuedCertificate: Sendable {
        package var pem: String
        package var expiresAt: Timestamp
        /// The tunnel's.
        package var domain: String
        /// PEM of the authorities that are registered for the tunnel, are not archived and count.
        package var authorities: [String]
    }

    /// The first label of a domain: 8 characters of 36, about 41 bits, from the system's generator.
    private static func label() -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var generator = SystemRandomNumberGenerator()
        return String(decoding: (0..<8).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }, as: UTF8.self)
    }
}
