import ManagedAgentsAPI

/// A tunnel: one domain, for ever its own.
package struct TunnelRecord: Sendable, Equatable {
    package var id: String
    package var workspaceID: String
    package var displayName: String?
    /// In full and in lowercase; never given to another tunnel, not even after this one is archived.
    package var domain: String
    /// The token that enrols connector keys now.
    package var tokenID: String
    /// Whether edges splice TLS connections for the domain.
    package var splice: Bool
    /// Whether the control plane calls routes by ids, so that no edge learns their names. Edges are not told.
    package var hidesRoutes: Bool
    package var createdAt: Timestamp
    package var archivedAt: Timestamp?

    package init(
        id: String, workspaceID: String, displayName: String? = nil, domain: String, tokenID: String, splice: Bool = false,
        hidesRoutes: Bool = false, createdAt: Timestamp, archivedAt: Timestamp? = nil
    ) {
        self.id = id
        self.workspaceID = workspaceID
        self.displayName = displayName
        self.domain = domain
        self.tokenID = tokenID
        self.splice = splice
        self.hidesRoutes = hidesRoutes
        self.createdAt = createdAt
        self.archivedAt = archivedAt
    }
}

/// What is known of a tunnel's token, now or once. The token itself is derived from the ids and a key, and is stored nowhere.
package struct TunnelTokenRecord: Sendable, Equatable {
    package var id: String
    package var tunnelID: String
    package var createdAt: Timestamp
    package var rotatedAt: Timestamp?
    /// Why it was rotated.
    package var reason: String?

    package init(id: String, tunnelID: String, createdAt: Timestamp, rotatedAt: Timestamp? = nil, reason: String? = nil) {
        self.id = id
        self.tunnelID = tunnelID
        self.createdAt = createdAt
        self.rotatedAt = rotatedAt
        self.reason = reason
    }
}

/// A certificate authority that is registered for a tunnel.
package struct TunnelCertificateRecord: Sendable, Equatable {
    package var id: String
    package var tunnelID: String
    /// Lowercase hexadecimal SHA-256 of the DER.
    package var fingerprint: String
    package var pem: String
    package var createdAt: Timestamp
    package var expiresAt: Timestamp?
    package var archivedAt: Timestamp?

    package init(
        id: String, tunnelID: String, fingerprint: String, pem: String, createdAt: Timestamp, expiresAt: Timestamp?, archivedAt: Timestamp? = nil
    ) {
        self.id = id
        self.tunnelID = tunnelID
        self.fingerprint = fingerprint
        self.pem = pem
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.archivedAt = archivedAt
    }
}

/// A connector's key, enrolled for one tunnel.
package struct ConnectorKeyRecord: Sendable, Equatable {
    /// Lowercase hexadecimal SHA-256 of the SubjectPublicKeyInfo in DER. A key that is not revoked is of one tunnel only.
    package var fingerprint: String
    package var tunnelID: String
    /// The token that enrolled it.
    package var tokenID: String
    package var enrolledAt: Timestamp
    package var revokedAt: Timestamp?

    package init(fingerprint: String, tunnelID: String, tokenID: String, enrolledAt: Timestamp, revokedAt: Timestamp? = nil) {
        self.fingerprint = fingerprint
        self.tunnelID = tunnelID
        self.tokenID = tokenID
        self.enrolledAt = enrolledAt
        self.revokedAt = revokedAt
    }
}

/// The authority that signs the runtime certificates of one workspace.
package struct RuntimeAuthorityRecord: Sendable, Equatable {
    package var workspaceID: String
    package var certificatePEM: String
    /// Encrypted with a key that is not in the store.
    package var sealedKey: [UInt8]
    package var createdAt: Timestamp

    package init(workspaceID: String, certificatePEM: String, sealedKey: [UInt8], createdAt: Timestamp) {
        self.workspaceID = workspaceID
        self.certificatePEM = certificatePEM
        self.sealedKey = sealedKey
        self.createdAt = createdAt
    }
}

/// All that an edge must know of the tunnels that are not archived.
package struct LiveTunnels: Sendable, Equatable {
    package struct Tunnel: Sendable, Equatable {
        package var id: String
        package var domain: String
        package var workspaceID: String
        package var splice: Bool
        /// Fingerprints of the keys that are not revoked, sorted.
        package var connectorKeys: [String]
        /// Entries of its log: connectors are told when there are others.
        package var registrations: Int

        package init(id: String, domain: String, workspaceID: String, splice: Bool, connectorKeys: [String], registrations: Int) {
            self.id = id
            self.domain = domain
            self.workspaceID = workspaceID
            self.splice = splice
            self.connectorKeys = connectorKeys
            self.registrations = registrations
        }
    }

    /// Grows with each change of tunnels, tokens, keys, edges' settings, registrations and runtime authorities.
    package var revision: Int
    /// By id.
    package var tunnels: [Tunnel]
    /// PEM of the runtime authorities of workspaces that have such a tunnel, by workspace.
    package var authorities: [String: String]

    package init(revision: Int, tunnels: [Tunnel], authorities: [String: String] = [:]) {
        self.revision = revision
        self.tunnels = tunnels
        self.authorities = authorities
    }
}

/// Tunnels and what belongs to them. Whatever an edge must learn of raises the revision in the same transaction, and whatever is a registration
/// appends its entry to the tunnel's log in the same transaction: `.duplicate("registrations")` where the log has not exactly `position` entries any
/// more, after every other reason to refuse.
package protocol TunnelStore: Sendable {
    /// Stores a tunnel, its first token and the first entry of its log. `.duplicate("domain")` when a tunnel has or had the domain; `.conflict` when the workspace has
    /// `mostLive` tunnels that are not archived, or the id exists.
    func create(_ tunnel: TunnelRecord, mostLive: Int, first entry: [UInt8]) async throws(StoreError)
    func tunnel(_ id: String) async throws(StoreError) -> TunnelRecord?
    /// The tunnel that has or had the domain, given in lowercase.
    func tunnel(domain: String) async throws(StoreError) -> TunnelRecord?
    /// Newest first.
    func tunnels(workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<TunnelRecord>
    /// Archives the tunnel and its certificates and revokes its keys; changes nothing where it is archived already.
    func archiveTunnel(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError)
    /// Changes what is given, all of it or nothing. Edges have to learn of `splice` alone. `.conflict` when the tunnel is archived or there is none.
    func changeTunnel(_ id: String, splice: Bool?, hidesRoutes: Bool?) async throws(StoreError)

    /// Replaces the token `old` by `new.id`. `.conflict` when the tunnel's token is another one or the tunnel is archived.
    func rotateToken(_ old: String, to new: TunnelTokenRecord, reason: String?) async throws(StoreError)
    func tunnelToken(_ id: String) async throws(StoreError) -> TunnelTokenRecord?

    /// `.duplicate("fingerprint")` when the tunnel has the certificate, not archived, already; `.conflict` when it has `mostLive` of them or is
    /// archived itself.
    func create(_ certificate: TunnelCertificateRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError)
    func tunnelCertificate(_ id: String) async throws(StoreError) -> TunnelCertificateRecord?
    /// Newest first.
    func tunnelCertificates(
        tunnelID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<TunnelCertificateRecord>
    /// Changes nothing where it is archived already.
    func archiveTunnelCertificate(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError)

    /// `.duplicate("fingerprint")` when the key was ever enrolled for the tunnel or is enrolled for another; `.conflict` when the tunnel has `mostLive` keys that are not revoked, is
    /// archived, or `key.tokenID` is not its token any more.
    func enrol(_ key: ConnectorKeyRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError)
    func connectorKey(_ fingerprint: String, tunnelID: String) async throws(StoreError) -> ConnectorKeyRecord?
    /// Newest first, revoked ones included; `limit` at most.
    func connectorKeys(tunnelID: String, limit: Int) async throws(StoreError) -> [ConnectorKeyRecord]
    /// False when there is no such key or it is revoked already.
    func revokeConnectorKey(
        _ fingerprint: String, tunnelID: String, at time: Timestamp, logging append: RegistrationAppend
    ) async throws(StoreError) -> Bool

    /// Appends an entry that stands for itself; the first one too, of a tunnel that is older than the logs. `.conflict` when the tunnel is archived
    /// or there is none.
    func log(_ append: RegistrationAppend, tunnelID: String) async throws(StoreError)
    /// The entries of a tunnel's log from that position on, in their order; `limit` at most.
    func registrations(tunnelID: String, from position: Int, limit: Int) async throws(StoreError) -> [[UInt8]]

    func runtimeAuthority(workspaceID: String) async throws(StoreError) -> RuntimeAuthorityRecord?
    /// `.conflict` when the workspace has one.
    func create(_ authority: RuntimeAuthorityRecord) async throws(StoreError)

    /// One snapshot.
    func liveTunnels() async throws(StoreError) -> LiveTunnels
    /// Whether anything is stored that the seal key must fit: a tunnel, archived or not, or a runtime authority.
    func hasSealed() async throws(StoreError) -> Bool
}
