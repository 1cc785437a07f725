import ManagedAgentsClient
import PosternJSON

/// The way from a refusal to a token: the resource's metadata, the issuer's, the token (MCP 2025-11-25 and 2026-07-28, "Authorization"; RFC 9728, RFC 8414,
/// RFC 6749 section 4.4, RFC 8707). A value without I/O.
///
/// The server is not trusted: it decides neither to whom the secret is shown nor what else is dialled. Its metadata is asked for at its own origin alone,
/// and of the authorization servers that it names only the operator's is asked for anything.
package struct OAuthFlow: Sendable {
    package enum Stage: String, Sendable {
        case resource = "protected resource metadata"
        case issuer = "authorization server metadata"
        case token = "token"
    }

    /// One question. Nothing of it is sent again to anybody else: redirects are refused.
    package struct Question: Sendable, Equatable {
        package var stage: Stage
        package var url: MCPEndpoint
        /// Of a POST; nil is a GET.
        package var form: [UInt8]?
        package var authorization: Secret?
        /// Is signed when it is sent, and stands last in the form.
        package var assertion: OAuthAssertion?
    }

    package enum Answer: Sendable, Equatable {
        case answer(status: Int, body: [UInt8])
        /// More than `longest`.
        case tooLarge
        /// None came: connection, time-out.
        case none(String)
        case cancelled
    }

    package enum Step: Sendable, Equatable {
        case ask(Question)
        case done(OAuthToken)
        /// Without a client: what the server says of its tokens.
        case described(ProtectedResource)
        case fail(OAuthProblem)
    }

    /// What stays true from one token to the next.
    package struct Discovery: Sendable, Equatable {
        var resource: ProtectedResource
        var issuer: AuthorizationServer
    }

    /// Bytes of an answer.
    package static let longest = 64 << 10
    static let parsing = JSON.ParseOptions(maximumDepth: 16, maximumValues: 4096)

    private enum State: Sendable {
        case resource(at: MCPEndpoint?, rest: [MCPEndpoint])
        case issuer(ProtectedResource, rest: [MCPEndpoint])
        case token(Discovery, scopes: Set<String>)
    }

    private let server: MCPEndpoint
    private let client: OAuthClient?
    private let challenge: BearerChallenge?
    private let before: Set<String>
    private let need: OAuthRetry.Need
    private var state: State
    /// What was found out on the way.
    package private(set) var discovery: Discovery?

    /// - Parameters:
    ///   - server: its URL as the operator has given it.
    ///   - client: nil only looks at the resource's metadata.
    ///   - challenge: of the refusal.
    ///   - need: why another token is wanted.
    ///   - scopes: what was asked for before, and is not given up.
    ///   - discovery: what an earlier way has found.
    package init(
        server: MCPEndpoint, client: OAuthClient?, challenge: BearerChallenge?, need: OAuthRetry.Need = .token, scopes: Set<String> = [],
        discovery: Discovery? = nil
    ) {
        self.server = server
        self.client = client
        self.challenge = challenge
        self.need = need
        self.discovery = discovery
        before = scopes
        state = .resource(at: nil, rest: [])
    }

    /// What is to be asked for: besides what there was before, what the challenge names, else all that the resource lists (MCP, "Scope Selection Strategy"
    /// and "Step-Up Authorization Flow"). The operator's scopes bound what is listed, which nobody demands, and stand in for what nobody names: an
    /// authorization server that is asked for none gives what it likes (RFC 6749, section 3.3).
    func scopes(of resource: ProtectedResource) -> Set<String> {
        let allowed = client?.allowedScopes
        var scopes = before
        if let text = challenge?.scope {
            scopes.formUnion(OAuthScopes.parse(text))
        } else if need == .scopes || before.isEmpty {
            scopes.formUnion(allowed.map { resource.scopes.intersection($0) } ?? resource.scopes)
        }
        return scopes.isEmpty ? allowed ?? [] : scopes
    }

    package mutating func start() -> Step {
        if let discovery { return token(discovery) }
        guard let named = challenge?.resourceMetadata else { return ask(.resource, server.resourceMetadataPlaces) }
        // The metadata of a resource lies at the resource's host (RFC 9728, section 3). Anything else would let the server choose what this machine asks.
        guard let url = MCPEndpoint.foreign(named), url.origin == server.origin else {
            return .fail(
                OAuthProblem(
                    .metadataElsewhere,
                    "the server \(server.withoutQuery) names metadata at \(OAuthProblem.shown(named)), which is not at \(server.origin) "
                        + "and is not asked for"))
        }
        return ask(.resource, [url])
    }

    /// - Parameter now: when the answer came, from which a token's life counts.
    package mutating func receive(_ answer: Answer, now: ContinuousClock.Instant) -> Step {
        do throws(OAuthProblem) {
            switch state {
            case .resource(let place, let rest):
                guard let place, let body = try body(answer, .resource, hasMore: !rest.isEmpty) else { return ask(.resource, rest) }
                return try found(try ProtectedResource(body, at: place, server: server))
            case .issuer(let resource, let rest):
                guard let client, let body = try body(answer, .issuer, hasMore: !rest.isEmpty) else { return ask(.issuer, rest, resource) }
                let discovery = Discovery(resource: resource, issuer: try AuthorizationServer(body, for: client))
                self.discovery = discovery
                return token(discovery)
            case .token(_, let scopes):
                if let client, case .answer(let status, let body) = answer, (400...499).contains(status) {
                    return .fail(OAuthToken.refusal(status: status, body, client))
                }
                guard let body = try body(answer, .token, hasMore: false) else { return .fail(Stage.token.wrong("there is none")) }
                return .done(try OAuthToken(body, scopes: scopes, allowed: client?.allowedScopes, now: now))
            }
        } catch {
            return .fail(error)
        }
    }

    // MARK: - Steps

    private mutating func found(_ resource: ProtectedResource) throws(OAuthProblem) -> Step {
        guard let client else { return .described(resource) }
        guard resource.authorizationServers.contains(where: { MCPEndpoint.foreign($0)?.canonical == client.issuer.canonical }) else {
            throw OAuthProblem(
                .issuerNotOffered,
                "the server takes tokens of \(OAuthProblem.shown(resource.authorizationServers.joined(separator: ", "))), and the secret is for "
                    + "\(client.issuer.withoutQuery) (--oauth-issuer), which is not among them: it is shown to nobody")
        }
        return ask(.issuer, client.issuer.issuerMetadataPlaces, resource)
    }

    private mutating func ask(_ stage: Stage, _ places: [MCPEndpoint], _ resource: ProtectedResource? = nil) -> Step {
        guard let next = places.first else { return .fail(stage.wrong("there is none")) }
        let rest = Array(places.dropFirst())
        state = if let resource { .issuer(resource, rest: rest) } else { .resource(at: next, rest: rest) }
        return .ask(Question(stage: stage, url: next))
    }

    private mutating func token(_ discovery: Discovery) -> Step {
        guard let client else { return .described(discovery.resource) }
        let scopes = scopes(of: discovery.resource)
        // Each refusal may name more of them, and none is given up.
        let length = scopes.reduce(0) { $0 + $1.utf8.count }
        guard length <= OAuthScopes.longestInAll else {
            return .fail(
                OAuthProblem(
                    .scope,
                    "the server asks for too many scopes, of \(length) bytes in all and not \(OAuthScopes.longestInAll) at most; bound them by "
                        + "--oauth-scope"))
        }
        if let allowed = client.allowedScopes, case let others = scopes.subtracting(allowed), !others.isEmpty {
            return .fail(
                OAuthProblem(
                    .scope,
                    "the server asks for the scopes \"\(OAuthProblem.shown(others.sorted().joined(separator: " ")))\", which --oauth-scope does not allow"
                ))
        }
        state = .token(discovery, scopes: scopes)
        return .ask(client.question(discovery.issuer, resource: discovery.resource.resource, scopes: scopes))
    }

    // MARK: - Answers

    /// The body of a 200; nil where the next place is to be asked.
    private func body(_ answer: Answer, _ stage: Stage, hasMore: Bool) throws(OAuthProblem) -> [UInt8]? {
        switch answer {
        case .answer(200, let body): return body
        case .answer(300...399, _): throw stage.wrong("a redirect, and none is followed")
        case .answer(400...499, _) where hasMore: return nil
        case .answer(let status, _): throw stage.wrong("HTTP \(status)")
        case .tooLarge: throw stage.wrong("more than \(Self.longest) bytes")
        case .none(let reason): throw OAuthProblem(.unreachable, "no \(stage.rawValue): \(reason)")
        case .cancelled: throw .cancelled
        }
    }
}

extension OAuthFlow.Stage {
    func wrong(_ what: String) -> OAuthProblem { OAuthProblem(.answer, "the \(rawValue): \(what)") }

    func object(_ body: [UInt8]) throws(OAuthProblem) -> JSONObject {
        guard let object = try? JSON(parsing: body, options: OAuthFlow.parsing).object else { throw wrong("the answer is no JSON object") }
        return object
    }
}
