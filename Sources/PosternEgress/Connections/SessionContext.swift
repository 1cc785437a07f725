import Logging
import NIOCore
import PosternGate
import PosternPolicy
import Synchronization

/// What all connections of one session share.
final class SessionContext: Sendable {
    let session: String
    let token: ProxyToken
    let authority: SessionAuthority
    let upstreamTLS: UpstreamTLS
    let dialer: Dialer
    let reporter: EgressReporter
    let live = LiveCalls()
    private let asks = OpenAsks()
    /// Every connection of the session goes through it.
    let gate = PauseGate()
    let limits: EgressConfiguration.Limits
    let logger: Logger

    private struct State {
        var policy: NetworkPolicy
        var digest: String
        var ledger: BudgetLedger
        var secrets: SecretBook
        var learns: Bool
        var redaction: RequestRedaction?
    }
    private let state: Mutex<State>
    private let redactionKey: [UInt8]

    init(
        _ configuration: EgressConfiguration, group: any EventLoopGroup, resolve: @escaping NameResolver, reporter: EgressReporter, logger: Logger
    ) throws {
        session = configuration.session
        token = configuration.token
        authority = try SessionAuthority()
        upstreamTLS = try UpstreamTLS(extraRoots: configuration.extraRoots)
        limits = configuration.limits
        dialer = Dialer(
            group: group, resolve: resolve, parent: configuration.parentProxy.map { .init($0, credential: configuration.parentCredential) },
            time: .milliseconds(Int64(configuration.limits.handshakeMilliseconds)), gate: gate)
        self.reporter = reporter
        self.logger = logger
        state = Mutex(
            State(
                policy: configuration.policy, digest: configuration.policyDigest,
                ledger: BudgetLedger(configuration.policy.budgets, used: configuration.used), secrets: SecretBook(configuration.secrets),
                learns: configuration.learns,
                redaction: try configuration.redaction.map { rules in try RequestRedaction(rules, key: configuration.redactionKey) }))
        redactionKey = configuration.redactionKey
    }

    var handshakeTime: TimeAmount { .milliseconds(Int64(limits.handshakeMilliseconds)) }
    var idleTime: TimeAmount { .milliseconds(Int64(limits.idleMilliseconds)) }
    var freshTime: TimeAmount { .milliseconds(Int64(limits.freshMilliseconds)) }

    var policy: NetworkPolicy { state.withLock { $0.policy } }
    /// All secrets of the session, withdrawn ones among them, each with where it may go now.
    var secrets: [BoundSecret] { state.withLock { $0.secrets.secrets } }
    /// Of every secret that the session ever had: what was sent once can come back later.
    var maskRules: AnswerMask.Rules { state.withLock { $0.secrets.maskRules } }
    /// Likewise: a placeholder stays one.
    var guardRules: BodyGuard.Rules { state.withLock { $0.secrets.guardRules } }
    var policyDigest: String { state.withLock { $0.digest } }

    /// The answer of the policy in force; throws what refuses.
    func allow(_ request: NetworkRequest) throws(CallRefusal) -> NetworkDecision {
        let decision = policy.decide(request)
        guard decision.verdict == .allow else { throw CallRefusal(decision, Authority(host: request.host, port: request.port)) }
        return decision
    }

    /// Holds from now on; what it does not allow is cut. The new policy is what both the present one and `policy` allow: a worker that errs
    /// cannot widen a session.
    func narrow(to policy: NetworkPolicy, digest: String) {
        let effective = state.withLock { state in
            state.policy = state.policy.narrowed(by: policy)
            state.ledger.budgets = state.policy.budgets
            state.digest = digest
            return state.policy
        }
        let cut = live.cut(by: effective)
        logger.info("policy narrowed", metadata: ["session": "\(session)", "cut": "\(cut)"])
    }

    /// From now on each secret goes only where one of `bindings` lets it go, and one without a binding nowhere. Requests under way with
    /// secrets that may not go there any more are cut.
    func narrow(secrets bindings: [SecretBinding]) {
        let secrets = state.withLock { state in
            state.secrets.narrow(to: bindings)
            return state.secrets.secrets
        }
        let cut = live.cut(by: secrets)
        logger.info("secrets narrowed", metadata: ["session": "\(session)", "cut": "\(cut)"])
    }

    /// For a request that begins now; `nil` where nothing is looked for.
    var redaction: RequestRedaction? { state.withLock { $0.redaction } }

    func setRedaction(_ rules: RedactionRules) throws {
        let redaction = try RequestRedaction(rules, key: redactionKey)
        state.withLock { $0.redaction = redaction }
    }

    /// Tells the worker what was found in a body.
    func report(_ redaction: BodyRedaction) {
        for (action, counts) in redaction.counts { reporter.post(.redacted(session: session, action: action, counts: counts)) }
    }

    func setLearning(_ learns: Bool) { state.withLock { $0.learns = learns } }

    /// Whether a connection to `destination` may begin; throws what refuses it. Each request on it is decided by itself.
    ///
    /// A session that learns lets a connection begin that no rule means, and reads its first request: that one is refused, and with it what
    /// it asked for is known. Nothing is resolved or dialled for it. What a rule denies is refused at once here too.
    func admit(_ destination: Authority) throws(CallRefusal) -> Admission {
        let decision = policy.decide(NetworkRequest(host: destination.host, port: destination.port))
        if decision.verdict == .allow { return Admission(decision: decision) }
        let refusal = CallRefusal(decision, destination)
        guard decision.rule == nil, state.withLock({ $0.learns }) else { throw refusal }
        return Admission(decision: decision, unread: UnreadRefusal(refusal))
    }

    /// The next request carries the new value; those under way end with the one that they have. False where it could not be masked.
    func rotate(_ secret: BoundSecret) -> Bool {
        let isTaken = state.withLock { $0.secrets.rotate(secret) }
        if isTaken { logger.info("a secret has a new value", metadata: ["session": "\(session)", "secret": "\(secret.binding.name)"]) }
        return isTaken
    }

    /// Until it has a value again, the secret goes nowhere; requests under way that carry it are cut.
    func suspend(secret name: String) {
        let secrets = state.withLock { state in
            state.secrets.suspend(name)
            return state.secrets.secrets
        }
        let cut = live.cut(by: secrets)
        logger.info("a secret has no value", metadata: ["session": "\(session)", "secret": "\(name)", "cut": "\(cut)"])
    }

    func setDay(used: Int) { state.withLock { $0.ledger.setDay(used: used) } }

    /// Counts bytes before they are sent. Over budget the perimeter is asked where the policy says so; throws where it refuses.
    func spend(_ bytes: Int, _ call: inout BudgetLedger.Call, _ destination: Authority, rule: String?) async throws {
        while true {
            var copy = call
            let result: Result<Void, BudgetLedger.Overrun> = state.withLock { state in
                do throws(BudgetLedger.Overrun) {
                    try state.ledger.take(bytes, &copy)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            call = copy
            guard case .failure(let overrun) = result else {
                // Before they are sent: whatever becomes of this process, they count.
                reporter.post(.spent(session: session, call.host, bytes))
                return
            }
            guard state.withLock({ $0.policy.budgets.overrun == .ask }) else { throw CallRefusal(overrun, destination, rule: rule) }
            // Nothing can be granted of a budget of nothing.
            guard overrun.limit > 0, try await approval(of: overrun, destination) else {
                throw CallRefusal(overrun, destination, rule: rule)
            }
        }
    }

    /// Whether the perimeter has granted more; calls to one host that reach the same budget share one question.
    private func approval(of overrun: BudgetLedger.Overrun, _ destination: Authority) async throws -> Bool {
        let session = session
        let ask = EgressAsk(budget: overrun.kind.rawValue, destination: destination, limit: overrun.limit, used: overrun.used)
        let account = BudgetLedger.Account(kind: overrun.kind, host: overrun.host)
        return try await asks.answer(for: account) {
            let granted = try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask { try await self.reporter.ask { .ask(id: $0, session: session, ask) } }
                group.addTask {
                    // No answer in time is a refusal.
                    try await Task.sleep(for: .milliseconds(self.limits.approvalMilliseconds))
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            guard let granted, granted > 0 else { return false }
            self.state.withLock { $0.ledger.grant(granted, for: account) }
            return true
        }
    }

    /// The session is over: ends what is under way and what waits.
    func end() {
        live.cutAll()
        asks.close()
    }

    /// Puts a refusal on the worker's disk before anybody is told.
    func record(_ refusal: CallRefusal) async throws {
        let session = session
        try await reporter.record { .refusal(id: $0, session: session, refusal.report) }
    }

    /// The checked way to a destination; throws what refuses or fails as a `CallRefusal`.
    func route(to destination: Authority, rule: String?) async throws(CallRefusal) -> Dialer.Route {
        do {
            return try await dialer.route(to: destination, policy.addresses)
        } catch let refusal as AddressRefusal {
            throw CallRefusal(refusal, destination, rule: rule)
        } catch {
            throw CallRefusal(502, EgressRefusal(kind: .address, destination: destination, rule: rule, reason: printable("\(error)"), remedy: ""))
        }
    }
}
