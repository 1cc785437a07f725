import X509

/// Who calls through a tunnel: what a runtime certificate says of its holder, written as URI subject alternative names (RFC 5280, section
/// 4.2.1.6), one URI a fact: `postern:tunnel:ID`, `postern:route:NAME`, and so on.
package struct RuntimeIdentity: Sendable, Hashable {
    /// The audience: the one tunnel that the certificate opens.
    package var tunnelID: String
    package var workspaceID: String
    package var agentID: String?
    /// From 1.
    package var agentVersion: Int?
    /// The digest of the agent's configuration, for example `sha256:ab12…`.
    package var configurationDigest: String?
    package var sessionID: String?
    /// Who started the session, or whose API key asked for the certificate.
    package var person: String?
    /// What calls where no session does: a name that whoever asked for the certificate chose.
    package var client: String?
    /// The routes that the certificate opens, each once; none stands for every route of the tunnel.
    package var routes: [String]
    /// Who vouches for `person` and `client` where no certificate does: the issuer of a bearer token. No certificate says it.
    package var issuer: String?

    /// Values longer than this, in bytes before escaping, are refused.
    package static let longestValue = 255
    /// More routes than this are refused.
    package static let mostRoutes = 64

    package init(
        tunnelID: String, workspaceID: String, agentID: String? = nil, agentVersion: Int? = nil, configurationDigest: String? = nil,
        sessionID: String? = nil, person: String? = nil, client: String? = nil, routes: [String] = []
    ) {
        self.tunnelID = tunnelID
        self.workspaceID = workspaceID
        self.agentID = agentID
        self.agentVersion = agentVersion
        self.configurationDigest = configurationDigest
        self.sessionID = sessionID
        self.person = person
        self.client = client
        self.routes = routes
    }

    /// Whether the certificate opens that route.
    package func opens(route: String) -> Bool { routes.isEmpty || routes.contains(route) }

    /// Reads a certificate's subject alternative names. Checks nothing else of the certificate: `RuntimeCertificate.verify` does.
    package init(certificate: Certificate) throws(RuntimeIdentityError) {
        let names: SubjectAlternativeNames?
        do { names = try certificate.extensions.subjectAlternativeNames } catch { throw .unreadableNames }
        guard let names else { throw .missing("tunnel") }
        var uris: [String] = []
        for name in names {
            // The authority of a workspace names nothing else, so whatever else is there was not meant for this reader.
            guard case .uniformResourceIdentifier(let uri) = name else { throw .foreignName(String(describing: name)) }
            uris.append(uri)
        }
        try self.init(uris: uris)
    }

    /// Reads the URIs, in any order. Unknown facts, repeats, empty or over-long values and spellings that `uris` would not write are errors,
    /// as is a missing tunnel or workspace.
    package init(uris: [String]) throws(RuntimeIdentityError) {
        var single: [Fact: String] = [:]
        var routes: [String] = []
        for uri in uris {
            guard uri.hasPrefix(Fact.scheme) else { throw .foreignName(uri) }
            let rest = uri.dropFirst(Fact.scheme.count)
            guard let colon = rest.firstIndex(of: ":"), let fact = Fact(rawValue: String(rest[..<colon])) else { throw .unknown(uri) }
            let written = String(rest[rest.index(after: colon)...])
            guard let value = IdentityText.decode(written) else { throw .malformed(fact.rawValue) }
            try Self.check(value, fact)
            if fact == .route {
                guard !routes.contains(value) else { throw .repeated(fact.rawValue) }
                guard routes.count < Self.mostRoutes else { throw .tooManyRoutes }
                routes.append(value)
            } else {
                guard single.updateValue(value, forKey: fact) == nil else { throw .repeated(fact.rawValue) }
            }
        }
        guard let tunnelID = single[.tunnel] else { throw .missing(Fact.tunnel.rawValue) }
        guard let workspaceID = single[.workspace] else { throw .missing(Fact.workspace.rawValue) }
        var version: Int?
        if let text = single[.agentVersion] {
            // One spelling a number: no sign, no leading zero.
            guard let number = Int(text), number > 0, String(number) == text else { throw .malformed(Fact.agentVersion.rawValue) }
            version = number
        }
        self.init(
            tunnelID: tunnelID, workspaceID: workspaceID, agentID: single[.agent], agentVersion: version,
            configurationDigest: single[.configuration], sessionID: single[.session], person: single[.person], client: single[.client],
            routes: routes)
    }

    /// The URIs that say this identity; what `init(uris:)` would refuse is refused here too.
    package var uris: [String] {
        get throws(RuntimeIdentityError) {
            var facts: [(Fact, String?)] = [
                (.tunnel, tunnelID), (.workspace, workspaceID), (.agent, agentID), (.agentVersion, agentVersion.map { String($0) }),
                (.configuration, configurationDigest), (.session, sessionID), (.person, person), (.client, client),
            ]
            facts += routes.map { (.route, $0) }
            guard issuer == nil else { throw .foreignName("issuer") }
            var uris: [String] = []
            for case (let fact, let value?) in facts { uris.append("\(Fact.scheme)\(fact.rawValue):\(IdentityText.encode(value))") }
            _ = try RuntimeIdentity(uris: uris)
            return uris
        }
    }

    private static func check(_ value: String, _ fact: Fact) throws(RuntimeIdentityError) {
        guard !value.isEmpty else { throw .empty(fact.rawValue) }
        guard value.utf8.count <= longestValue else { throw .tooLong(fact.rawValue) }
    }

    /// What a URI may say; the raw value stands between `postern:` and the next colon.
    private enum Fact: String {
        case tunnel, workspace, agent
        case agentVersion = "agent-version"
        case configuration, session, person, client, route

        static let scheme = "postern:"
    }
}

/// Why a certificate's names are not a runtime identity.
package enum RuntimeIdentityError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The extension is not what RFC 5280 calls a subject alternative name.
    case unreadableNames
    /// A fact that must be there is not.
    case missing(String)
    case repeated(String)
    case empty(String)
    case tooLong(String)
    /// A value that is not spelled as it would be written.
    case malformed(String)
    /// A `postern:` URI with a fact that this reader does not know.
    case unknown(String)
    /// A name that is no `postern:` URI.
    case foreignName(String)
    case tooManyRoutes

    package var description: String {
        switch self {
        case .unreadableNames: "the certificate's subject alternative names cannot be read"
        case .missing(let fact): "the certificate names no \(fact): it needs one URI postern:\(fact):…"
        case .repeated(let fact): "the certificate names its \(fact) twice"
        case .empty(let fact): "the certificate's \(fact) is empty"
        case .tooLong(let fact): "the certificate's \(fact) has more than \(RuntimeIdentity.longestValue) bytes"
        case .malformed(let fact): "the certificate's \(fact) is not written in its one valid form"
        case .unknown(let uri): "the certificate says something that is not known here: \(uri.prefix(80))"
        case .foreignName(let name): "the certificate has a name that is no postern: URI: \(name.prefix(80))"
        case .tooManyRoutes: "the certificate names more than \(RuntimeIdentity.mostRoutes) routes"
        }
    }
}
