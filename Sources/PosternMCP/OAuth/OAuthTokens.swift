import ManagedAgentsClient
import Synchronization

/// The tokens for one MCP server, of one issuer: got when the server refuses a request, kept in memory until their end, asked for once for all requests
/// that wait.
package actor OAuthTokens {
    /// How often tokens are asked for within `span`: a server that refuses all of them would have the operator's authorization server asked for as many
    /// as it gets requests, and twice that.
    static let mostAskings = 30
    static let span = Duration.seconds(60)

    private let server: MCPEndpoint
    private let client: OAuthClient
    private let asking: OAuthAsking
    private let now: @Sendable () -> ContinuousClock.Instant
    private let onStep: (@Sendable (MCPClient.Step) -> Void)?
    private var token: OAuthToken?
    private var discovery: OAuthFlow.Discovery?
    /// When was asked, of the last `span`.
    private var askings: [ContinuousClock.Instant] = []
    private let fetching = SharedWork<Result<OAuthToken, OAuthProblem>>()
    /// What no error may show, newest last.
    private nonisolated let issued = Mutex<[Secret]>([])

    /// - Parameters:
    ///   - server: its URL, as the operator has given it; tokens are for it and what lies below it.
    ///   - onStep: hears of each question, for whoever measures.
    package init(
        server: MCPEndpoint, client: OAuthClient, asking: OAuthAsking, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        onStep: (@Sendable (MCPClient.Step) -> Void)? = nil
    ) {
        self.server = server
        self.client = client
        self.asking = asking
        self.now = now
        self.onStep = onStep
    }

    /// The secret, the query of the server's URL and the newest tokens, which a peer may repeat in what it answers.
    package nonisolated var secrets: [Secret] { (client.secret.map { [$0] } ?? []) + [Secret(server.query)] + issued.withLock { $0 } }

    /// The token to send: nil before the server has asked for one. One whose time is over is renewed before it is refused, unless only the server's
    /// refusal says where: what was found out is forgotten when it has led to none.
    func current() async throws(OAuthProblem) -> OAuthToken? {
        guard let token else { return nil }
        guard let end = token.end, end <= now() else { return token }
        guard discovery != nil else { return nil }
        return try await next(after: token, nil, .token)
    }

    /// Another token than the one that was refused; nil where asking again gives no other.
    func next(after refused: OAuthToken?, _ challenge: BearerChallenge?, _ need: OAuthRetry.Need) async throws(OAuthProblem) -> OAuthToken? {
        while true {
            // Somebody else's request has brought it.
            if let token, token != refused, token.end.map({ $0 > now() }) ?? true { return token }
            if need == .scopes, let refused, let discovery, flow(challenge, need).scopes(of: discovery.resource) == refused.scopes { return nil }
            let result = await fetching.value { await self.ask(challenge, need) }
            if Task.isCancelled { throw .cancelled }
            // Cancelled by those that waited before: this one still wants it.
            if case .failure(.cancelled) = result { continue }
            // Where it was asked for by another request, for less, the server will say what is missing.
            return try result.get()
        }
    }

    private func flow(_ challenge: BearerChallenge?, _ need: OAuthRetry.Need) -> OAuthFlow {
        OAuthFlow(server: server, client: client, challenge: challenge, need: need, scopes: token?.scopes ?? [], discovery: discovery)
    }

    private func ask(_ challenge: BearerChallenge?, _ need: OAuthRetry.Need) async -> Result<OAuthToken, OAuthProblem> {
        let time = now()
        askings.removeAll { time - $0 >= Self.span }
        guard askings.count < Self.mostAskings else {
            return .failure(
                OAuthProblem(
                    .tooOften,
                    "the server has had tokens asked for \(Self.mostAskings) times within \(Self.span); \(client.issuer.withoutQuery) is asked for "
                        + "none until that is over, look at what the server refuses them for"))
        }
        askings.append(time)
        var flow = flow(challenge, need)
        switch await asking.follow(&flow, now: now, onStep: onStep) {
        case .done(let token):
            discovery = flow.discovery
            self.token = token
            issued.withLock { issued in
                issued.append(token.value)
                if issued.count > 8 { issued.removeFirst() }
            }
            return .success(token)
        case .fail(let problem):
            // What was found may be what is wrong, unless nobody has said so. The token that is over stays, for its scopes.
            if problem.kind != .cancelled { discovery = nil }
            return .failure(problem.masked(secrets))
        case .described, .ask: return .failure(.cancelled)
        }
    }
}

extension OAuthAsking {
    /// Goes the way to its end: nothing is left to be asked in what this gives.
    func follow(
        _ flow: inout OAuthFlow, now: @Sendable () -> ContinuousClock.Instant = { .now }, onStep: (@Sendable (MCPClient.Step) -> Void)? = nil
    ) async -> OAuthFlow.Step {
        var step = flow.start()
        while case .ask(let question) = step {
            let start = ContinuousClock.now
            let answer = await answer(to: question)
            step = flow.receive(answer, now: now())
            var error: MCPError?
            if case .fail(let problem) = step { error = .oauth(problem) }
            onStep?(MCPClient.Step(name: question.stage.rawValue, duration: .now - start, error: error))
        }
        return step
    }

    /// What a server says of its tokens to somebody who has none; nil where it says nothing that can be asked for.
    package func described(_ server: MCPEndpoint, _ challenge: BearerChallenge?) async -> ProtectedResource? {
        var flow = OAuthFlow(server: server, client: nil, challenge: challenge)
        guard case .described(let resource) = await follow(&flow) else { return nil }
        return resource
    }
}

extension OAuthProblem {
    func masked(_ secrets: [Secret]) -> OAuthProblem {
        OAuthProblem(kind, text.masked(secrets))
    }
}
