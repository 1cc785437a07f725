import PosternPolicy
import PosternTunnelWire

/// What a connector is started with, as its document says it. Paths are as written: against the folder of the document where they are relative.
package struct ConnectorConfiguration: Hashable, Sendable {
    package var tunnel: Tunnel
    package var edges: Edges
    /// Legs that are kept open, over all addresses: 1 to 16.
    package var legs: Int
    /// Tells this connector's legs from those of others that hold the same key.
    package var name: String
    package var identity: Identity
    package var server: ServerCertificate
    /// PEM of the authority that signs the workspace's runtime certificates.
    package var runtimeAuthorityFile: String
    /// Where the audit log is written; `nil` for none.
    package var auditFile: String?
    /// Where the counts of answers' bytes are kept; `nil`: they begin anew with the connector.
    package var budgetsFile: String?
    /// How the log of the tunnel's registrations is watched; `nil` where it is not.
    package var registrations: Registrations?
    package var routes: [String: Route]
    /// Of the document's text: `sha256:` and hexadecimal digits.
    package var digest = ""

    package static let legs = 1...16
    package static let mostRoutes = 256

    package struct Tunnel: Hashable, Sendable {
        package var id: String
        package var workspaceID: String
        /// Canonical.
        package var domain: String
        /// Mode 0600; `nil` where callers name routes only.
        package var routeKeyFile: String?
    }

    package struct Edges: Hashable, Sendable {
        package var addresses: [Authority]
        /// The name that the edge's certificate has to have.
        package var name: String
        /// PEM of authorities that are trusted instead of the system's.
        package var caFile: String?
        /// The HTTP proxy that every leg goes through; `nil` for none.
        package var proxy: Proxy?
        /// How the connector's key is proved to an edge.
        package var proof = Proof.certificate

        package enum Proof: String, Hashable, Sendable, CaseIterable {
            /// As client certificate of TLS.
            case certificate
            /// By a signed challenge, where something on the way ends TLS.
            case challenge
        }
    }

    package struct Proxy: Hashable, Sendable, CustomStringConvertible {
        package var isTLS: Bool
        package var address: Authority
        /// `user:password` on its first line, mode 0600.
        package var secretFile: String?
        /// PEM of authorities that are trusted instead of the system's, for `https`.
        package var caFile: String?

        package var description: String { "\(isTLS ? "https" : "http")://\(address)" }
    }

    package struct Identity: Hashable, Sendable {
        /// PEM, mode 0600.
        package var keyFile: String
        package var certificateFile: String
        /// The tunnel token, which enrols the key; needed once.
        package var tokenFile: String?
        /// Fingerprints of the other connectors' keys, where no others may be enrolled; `nil` where any may.
        package var knownKeys: [String]?
    }

    package struct Registrations: Hashable, Sendable {
        /// PEM of the key that signs the log's heads.
        package var logKeyFile: String
        /// What was seen of the log; written by the connector, mode 0600.
        package var stateFile: String
        /// PEM of the owner's public key, whose statements are believed.
        package var ownerKeyFile: String?
        /// Calls are refused when the last head is older; 0 for never.
        package var refuseAfterHours: Int
        /// Between two questions.
        package var intervalSeconds: Int

        package static let refuseAfterHours = 0...8760
        package static let intervalSeconds = 1...3600

        package init(logKeyFile: String, stateFile: String, ownerKeyFile: String?, refuseAfterHours: Int, intervalSeconds: Int) {
            self.logKeyFile = logKeyFile
            self.stateFile = stateFile
            self.ownerKeyFile = ownerKeyFile
            self.refuseAfterHours = refuseAfterHours
            self.intervalSeconds = intervalSeconds
        }
    }

    package struct ServerCertificate: Hashable, Sendable {
        package var certificateFile: String
        /// PEM, mode 0600.
        package var keyFile: String
    }

    package struct Route: Hashable, Sendable {
        package var upstream: RouteUpstream
        package var callers: Callers
        package var addresses: UpstreamAddresses
        package var host: HostRule
        /// Header fields that are set on each request.
        package var headers: [Header]
        /// PEM of authorities that are trusted instead of the system's, for `https`.
        package var caFile: String?
        /// What of MCP passes; `nil`: bodies pass unread.
        package var policy: RoutePolicy?
        /// For upstreams that ask for one.
        package var clientCertificate: ClientCertificate?
        package var limits = RouteLimits()
        package var answers = RouteAnswers()
        /// How callers prove who they are where they show no certificate; `nil`: by certificates.
        package var bearer: BearerSettings?
        package var audit = RouteAudit()

        /// Whether answers are read on their way, so that they must come without a content coding and in one piece.
        var readsAnswers: Bool { policy != nil || headers.contains(where: \.isMasked) || !answers.redact.isEmpty }
    }

    package struct ClientCertificate: Hashable, Sendable {
        /// PEM, the leaf first.
        package var certificateFile: String
        /// PEM, mode 0600.
        package var keyFile: String

        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    package enum HostRule: String, Hashable, Sendable, CaseIterable {
        /// The upstream sees its own authority in Host; the caller's stands in X-Forwarded-Host.
        case rewrite
        /// The upstream sees the caller's.
        case keep
    }

    package struct Header: Hashable, Sendable {
        package var name: String
        package var source: Source
        /// Whether its value is kept out of answers.
        package var isMasked: Bool

        package enum Source: Hashable, Sendable {
            /// The first line of a file, mode 0600.
            case file(String)
            /// A variable of the connector's process, as it was when that started.
            case environment(String)
        }

        package init(name: String, _ source: Source, isMasked: Bool = true) {
            self.name = name
            self.source = source
            self.isMasked = isMasked
        }

        package init(name: String, file: String, isMasked: Bool = true) { self.init(name: name, .file(file), isMasked: isMasked) }

        /// `nil` where its value is in no file.
        package var file: String? { if case .file(let path) = source { path } else { nil } }
    }
}
