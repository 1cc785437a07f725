import ManagedAgentsAPI

/// Who gets a runtime certificate, and for what.
package struct RuntimeClient: Sendable, Equatable {
    package var tunnelID: String
    package var workspaceID: String
    /// The id of the API key that asks, or that has made the session.
    package var person: String?
    /// A name that whoever asks has chosen; nil for a session.
    package var client: String?
    /// None stands for every route of the tunnel.
    package var routes: [String]
    /// The session that calls, where one does.
    package var session: RuntimeSession?

    package init(tunnelID: String, workspaceID: String, person: String?, client: String?, routes: [String], session: RuntimeSession? = nil) {
        self.tunnelID = tunnelID
        self.workspaceID = workspaceID
        self.person = person
        self.client = client
        self.routes = routes
        self.session = session
    }
}

/// The session that a runtime certificate names, and what runs in it.
package struct RuntimeSession: Sendable, Equatable {
    package var id: String
    package var agentID: String
    /// From 1.
    package var agentVersion: Int
    /// `sha256:` and hexadecimal digits: of what the session runs with now, overrides included.
    package var configurationDigest: String

    package init(id: String, agentID: String, agentVersion: Int, configurationDigest: String) {
        self.id = id
        self.agentID = agentID
        self.agentVersion = agentVersion
        self.configurationDigest = configurationDigest
    }
}

/// The cryptography of tunnels, which this target does not link: certificates, and the seal key that is not in the store.
package protocol TunnelCredentials: Sendable {
    /// Checks a certificate that is to be registered for a tunnel against every rule.
    /// - Throws: 400 with the rule.
    func checkAuthority(pem: String, now: Timestamp) throws(APIError) -> (fingerprint: String, expiresAt: Timestamp)

    /// The token with that id, of that tunnel: always the same text.
    func token(_ tokenID: String, tunnelID: String) -> String
    /// The id that the text names, which proves nothing. `nil` for what is no token.
    func tokenID(in token: String) -> String?
    /// Whether `token` is the one that `token(_:tunnelID:)` makes; takes the same time whatever the answer.
    func isToken(_ token: String, _ tokenID: String, tunnelID: String) -> Bool

    /// What runtimes and connectors of that tunnel call its routes by where an edge listens: always the same 64 hexadecimal digits.
    func routeKey(tunnelID: String) -> String

    /// The fingerprint of a connector's key: DER of a SubjectPublicKeyInfo, ECDSA on P-256.
    /// - Throws: 400 for any other.
    func fingerprint(ofConnectorKey der: [UInt8]) throws(APIError) -> String

    /// A fresh authority for the runtimes of a workspace, its key sealed.
    func makeRuntimeAuthority(workspaceID: String, now: Timestamp) throws(APIError) -> RuntimeAuthorityRecord
    /// A client certificate (PEM) for the key of a certificate signing request.
    /// - Throws: 400 for a request that is none or not signed by its own key; 500 when the seal key does not open the authority's.
    func issue(
        _ client: RuntimeClient, request: String, by authority: RuntimeAuthorityRecord, from: Timestamp, until: Timestamp
    ) throws(APIError) -> String
}
