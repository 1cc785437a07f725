import PosternJSON
import PosternTunnelWire

/// What an edge asks the control plane: which tunnels there are, who may open legs, who may call. A port; the edge has no store and no key.
package protocol EdgeDirectory: Sendable {
    /// Every live tunnel, as soon as the revision is greater than `revision`, or after the time that the directory holds an answer back.
    func tunnels(after revision: Int?) async throws(EdgeDirectoryError) -> EdgeTunnels

    /// Enrols a connector's key by a tunnel token. The edge has seen a proof that the connector holds the key.
    /// - Parameter connectorKey: its SubjectPublicKeyInfo in DER (RFC 5280, section 4.1).
    func enrol(token: String, connectorKey: [UInt8]) async throws(EdgeDirectoryError) -> EdgeEnrolment

    /// Whose credential it is, where that may call the tunnel; `nil` where it may not.
    func authorize(credential: String, tunnelID: String) async throws(EdgeDirectoryError) -> EdgePrincipal?

    /// Those of `principals` whose credentials have ended; names as `authorize` gave them, or as runtime certificates have them.
    func ended(_ principals: [String]) async throws(EdgeDirectoryError) -> Set<String>

    /// The signed head of a tunnel's log of registrations, a proof that it extends the log of `since` entries, and those after them: for connectors,
    /// who hold it against the log's key.
    func registrations(tunnelID: String, since: Int) async throws(EdgeDirectoryError) -> JSON

    /// Replaces what this edge has said of its legs.
    func report(_ legs: [String: [EdgeLegReport]]) async throws(EdgeDirectoryError)
}

/// The tunnels at one revision.
package struct EdgeTunnels: Hashable, Sendable {
    package var revision: Int
    package var tunnels: [EdgeTunnel]
    /// PEM of the authorities that sign runtime certificates, by workspace.
    package var authorities: [String: String]

    package init(revision: Int, tunnels: [EdgeTunnel], authorities: [String: String] = [:]) {
        self.revision = revision
        self.tunnels = tunnels
        self.authorities = authorities
    }
}

/// A live tunnel, as far as an edge has to know it.
package struct EdgeTunnel: Hashable, Sendable {
    package var id: String
    /// Canonical.
    package var domain: String
    package var workspaceID: String
    /// Whether whoever names a host of the tunnel in a ClientHello is let through to its connector.
    package var splices: Bool
    /// Hex of SHA-256 of the SubjectPublicKeyInfo of the keys that may open legs.
    package var connectorKeys: Set<String>
    /// Entries of the log of its registrations: where they are others, connectors are told.
    package var registrations: Int

    package init(id: String, domain: String, workspaceID: String, splices: Bool, connectorKeys: Set<String>, registrations: Int = 0) {
        self.id = id
        self.domain = domain
        self.workspaceID = workspaceID
        self.splices = splices
        self.connectorKeys = connectorKeys
        self.registrations = registrations
    }
}

/// What came of an enrolment.
package enum EdgeEnrolment: Hashable, Sendable {
    case enrolled(tunnelID: String, fingerprint: String)
    case refused(LegRefusal)
}

/// Who calls through `CONNECT`, by opaque ids.
package struct EdgePrincipal: Hashable, Sendable {
    package var workspaceID: String
    /// Names an API key or a sessions token; `ended` understands it.
    package var id: String

    package init(workspaceID: String, id: String) {
        self.workspaceID = workspaceID
        self.id = id
    }
}

/// A leg, for the operator of the tunnel.
package struct EdgeLegReport: Hashable, Sendable {
    package var connectorKey: String
    package var version: String
    /// Seconds since 1970.
    package var since: Int
    /// When the connector's server certificate ends, as it says; seconds since 1970.
    package var certificateExpires: Int?
    package var streams: Int
    package var bytesIn: Int
    package var bytesOut: Int
}

/// The control plane gave no usable answer.
package struct EdgeDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
