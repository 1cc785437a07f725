import Logging
import ManagedAgentsClient
import PosternAudit
import PosternEgress
import PosternGate
import PosternJSON
import PosternPolicy
import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A session's way out of its sandbox, on the worker's side: starts the proxy process, tells it the policy, writes what it announces into the
/// audit before it may happen, and collects what is to be told to the model.
///
/// The process is started with the sandbox, not at its first connection: a program reads the certificates that it trusts before it connects, and
/// the authority's key never leaves the proxy. A session whose policy lets nothing out has no process.
actor SessionEgress {
    /// What the sandbox must be given.
    struct View: Sendable {
        var variables: [(name: String, value: String)]
        var certificate: String
        var plan: EgressPlan

        func prepare(_ spec: inout SandboxSpec) {
            spec.environment += variables
            spec.certificate = certificate
            spec.listeners = plan.listeners.map(\.socket)
        }
    }

    let item: WorkItem
    private let open: @Sendable (EgressMode) async throws -> any EgressChannel
    let find: SecretFinder
    let records: EgressRecords
    private let desk: ApprovalDesk
    private let patience: Duration
    private let pacing: Pacing
    private let usage: EgressUsage
    private let decisions: DecisionFeed
    /// Something that cannot be recorded, or a proxy that is gone: the session must not go on with a door nobody watches.
    private let failed: @Sendable (String) -> Void
    let logger: Logger

    var link: (any EgressChannel)?
    private var reading: Task<Void, Never>?
    private var confirming: [CheckedContinuation<Bool, Never>] = []
    private var turning: Task<Void, Never>?
    private var asking: [Int: Task<Void, Never>] = [:]
    var plan: EgressPlan?
    /// The policy in force, once it has become narrower than the plan's.
    private var narrowed: Policy?
    var secrets = SessionSecrets()
    var refreshing: Task<Void, Never>?
    private var certificate: CheckedContinuation<String?, Never>?
    private var ready: String?
    private(set) var hasEnded = false
    /// Nobody reads the proxy's reports any more, so nothing is confirmed.
    private var isUnread = false
    private var notices: [String] = []
    private var omitted = 0
    /// Requests that were told to bring a credential, by destination; `nil` where it was the proxy's own.
    private var challenges: [Authority?: String] = [:]
    private static let mostNotices = 8

    init(
        item: WorkItem, open: @escaping @Sendable (EgressMode) async throws -> any EgressChannel, find: @escaping SecretFinder,
        records: EgressRecords, desk: ApprovalDesk, patience: Duration,
        pacing: Pacing, usage: EgressUsage, decisions: DecisionFeed, failed: @escaping @Sendable (String) -> Void, logger: Logger
    ) {
        self.item = item
        self.open = open
        self.find = find
        self.records = records
        self.desk = desk
        self.patience = patience
        self.pacing = pacing
        self.usage = usage
        self.decisions = decisions
        self.failed = failed
        self.logger = logger
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    // MARK: Life

    /// Starts the proxy under `policy` and waits until it serves.
    /// - Parameters:
    ///   - learns: whether what no rule allows is read before it is refused, also where somebody follows who does not learn.
    ///   - redaction: what is looked for in bodies of requests; `nil` for nothing but secrets.
    func start(_ policy: SessionPolicy, redaction: RedactionRules?, learns: Bool = false) async throws {
        let plan = EgressPlan(policy: policy.policy, learns: learns)
        self.plan = plan
        await findSecrets(plan)
        let begun = usage.day()
        let link = try await open(policy.policy.egress)
        var configuration: EgressConfiguration
        do {
            configuration = try self.configuration(policy, plan, link.session)
        } catch {
            link.close()
            throw error
        }
        configuration.learns = learns
        configuration.redaction = redaction
        self.link = link
        token = configuration.token
        reading = Task { await self.read(link) }
        link.send(.configure(configuration))
        if !learns {
            enrolled = decisions.enrol(session: item.sessionID) { link.send(.learn(session: link.session, $0)) }
        }
        guard let certificate = await waitUntilReady() else { throw Failure(description: "the egress proxy did not start") }
        ready = certificate
        try await records.write(
            .keyUsed(name: "session authority \(records.audit.key.fingerprint(certificate))", purpose: "certificates of inspected hosts"),
            policy: policy.digest, durable: false)
        turning = Task { await self.turnDays(after: begun, link) }
    }

    private var token: ProxyToken?
    /// Its place in the feed.
    private var enrolled: Int?

    private func withdraw() {
        if let enrolled { decisions.withdraw(enrolled) }
        enrolled = nil
    }

    /// The policy in force; `nil` before there is one.
    var policy: Policy? { narrowed ?? plan?.policy }

    /// What the sandbox is to be given; `nil` while nothing may leave it.
    var view: View? {
        guard let plan, let ready, let token else { return nil }
        let placeholders = secrets.placeholders(under: narrowed ?? plan.policy)
        return View(variables: plan.variables(token: token, placeholders: placeholders), certificate: ready, plan: plan)
    }

    /// Hands the sandbox's sockets to the proxy. Called for each sandbox of the session; those of one that has ended say so by themselves.
    func attach(_ sandbox: any Sandbox) {
        guard let link, let plan, let sandbox = sandbox as? any ListeningSandbox else { return }
        func hand(_ descriptor: Int32, _ listener: EgressCommand.Listener) {
            let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
            guard copy >= 0 else { return logger.error("a socket of the sandbox cannot be handed to its proxy") }
            link.send(.listen(session: link.session, listener, descriptor: copy))
        }
        if sandbox.listener >= 0 { hand(sandbox.listener, .proxy) }
        let forwards = (narrowed ?? plan.policy).forwards.map(\.name)
        for (descriptor, listener) in zip(sandbox.listeners, plan.listeners) {
            if case .forward(let name) = listener.serves, !forwards.contains(name) { continue }
            hand(descriptor, listener.serves)
        }
    }

    /// Puts a narrower policy in force; what it does not allow any more is cut within a second.
    func narrow(_ policy: SessionPolicy, redaction: RedactionRules?) {
        narrowed = policy.policy
        guard let link, let plan else { return }
        if let redaction { link.send(.redaction(session: link.session, redaction)) }
        let commands = EgressCommand.narrowing(from: plan.policy, to: policy.policy, digest: policy.digest, session: link.session)
        for command in commands { link.send(command) }
    }

    /// Stops the session's traffic until `resume`. Returns once every connection stands still; `false` if the proxy has gone instead.
    func pause() async -> Bool { await setPaused(true) }

    /// Lets the session's traffic go on. Returns once it does; `false` if the proxy has gone instead.
    func resume() async -> Bool { await setPaused(false) }

    private func setPaused(_ isPaused: Bool) async -> Bool {
        // Where there is no proxy, or none any more, nothing passes.
        guard let link, !hasEnded, !isUnread else { return true }
        link.send(isPaused ? .pause(session: link.session) : .resume(session: link.session))
        // Confirmations come in the order of the commands.
        return await withCheckedContinuation { confirming.append($0) }
    }

    private func confirm(_ isSo: Bool) {
        guard !confirming.isEmpty else { return }
        confirming.removeFirst().resume(returning: isSo)
    }

    /// Ends the process, whatever else it serves: it does not do what it is told, and nothing may pass it any more.
    func abort() async {
        link?.abort()
        await stop()
    }

    /// Ends everything that goes through the proxy, and the process if it serves nobody else.
    func stop() async {
        hasEnded = true
        withdraw()
        link?.close()
        certificate?.resume(returning: nil)
        certificate = nil
        turning?.cancel()
        refreshing?.cancel()
        for (_, task) in asking { task.cancel() }
        await reading?.value
        link = nil
    }

    private func waitUntilReady() async -> String? {
        let timer = Task { [pacing] in
            do { try await pacing.sleep(.seconds(30)) } catch { return }
            self.settle(nil)
        }
        defer { timer.cancel() }
        return await withCheckedContinuation { waiter in
            if let ready { waiter.resume(returning: ready) } else if hasEnded { waiter.resume(returning: nil) } else { certificate = waiter }
        }
    }

    private func settle(_ text: String?) {
        if let text { ready = text }
        certificate?.resume(returning: text)
        certificate = nil
    }

    private func configuration(_ policy: SessionPolicy, _ plan: EgressPlan, _ session: String) throws -> EgressConfiguration {
        var random = SystemRandomNumberGenerator()
        var configuration = EgressConfiguration(session: session, token: ProxyToken(using: &random), policy: policy.policy.network)
        configuration.policyDigest = policy.digest
        configuration.secrets = secrets.bound
        configuration.used = usage.used
        configuration.limits.approvalMilliseconds = Int(patience / .milliseconds(1))
        configuration.digestKey = Array(records.audit.key.digest(.input, canonical: Array("postern statement digests".utf8)).utf8)
        configuration.redactionKey = Array(records.audit.key.digest(.output, canonical: Array("postern request redaction".utf8)).utf8)
        let upstream = policy.policy.upstream
        configuration.parentProxy = upstream.proxy
        configuration.parentCredential = upstream.proxySecret.flatMap { secrets.values[$0] }
        configuration.extraRoots = try upstream.caFile.map(Self.certificates)
        configuration.forwards = try policy.policy.forwards.map { forward in
            guard case .postgres(let postgres) = forward.kind else { return ForwardConfiguration(forward) }
            return ForwardConfiguration(
                forward, authorities: try postgres.caFile.map(Self.certificates), password: postgres.secret.flatMap { secrets.values[$0] })
        }
        return configuration
    }

    /// A PEM file of the perimeter. Read at the start of a session: a small read of a local file.
    private static func certificates(_ path: String) throws -> String {
        guard let bytes = try SmallFile.read(path) else {
            throw Failure(description: "there is no file \(path), which the policy names for certificates")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Reports

    private func read(_ link: any EgressChannel) async {
        for await report in link.reports {
            do {
                try await take(report, link)
            } catch {
                // What cannot be recorded does not happen: the proxy gets no answer, and the session ends.
                fail("\(error)")
                break
            }
        }
        settle(nil)
        isUnread = true
        while !confirming.isEmpty { confirm(false) }
        if !hasEnded { fail("the egress proxy has ended") }
    }

    func fail(_ reason: String) {
        guard !hasEnded else { return }
        hasEnded = true
        withdraw()
        turning?.cancel()
        refreshing?.cancel()
        link?.close()
        failed(reason)
    }

    private func take(_ report: EgressReport, _ link: any EgressChannel) async throws {
        switch report {
        case .ready(_, let certificate): settle(certificate)
        case .intent(let id, _, let intent):
            try await records.intent(id, intent)
            link.send(.recorded(id: id))
            hosts[id] = intent.destination
            (challenges[intent.destination], challenges[.none]) = (nil, nil)
            publish(report)
        case .spent(_, let host, let bytes): try await usage.add(bytes, host)
        case .outcome(let id, _, let outcome):
            try await records.outcome(id, outcome)
            publish(report, hosts.removeValue(forKey: id))
        case .refusal(let id, _, let refusal):
            try await records.refusal(id, refusal)
            publish(report)
            link.send(.recorded(id: id))
            let place = refusal.destination.map { " to \($0)" } ?? ""
            let line = "the network request\(place) was refused: \(refusal.reason)\(refusal.remedy.isEmpty ? "" : "; \(refusal.remedy)")"
            // Whose destination is known has proven itself to the proxy.
            if refusal.destination != nil { challenges[.none] = nil }
            let hasPlace = challenges[refusal.destination] != nil || challenges.count < Self.mostNotices
            if refusal.kind == .authentication, hasPlace { challenges[refusal.destination] = line } else { note(line) }
        case .secretUsed(let id, _, let call, let names, let destination):
            try await records.secrets(names, call: call, destination)
            link.send(.recorded(id: id))
        case .masked(_, _, let counts): try await records.masked(counts)
        case .redacted(_, let action, let counts): try await records.redacted(action, counts)
        case .ask(let id, _, let ask): asking[id] = Task { await self.ask(id, ask, link) }
        case .forward(let id, _, let forward):
            try await records.forward(forward, role: role(of: forward.forward))
            publish(report)
            if id > 0 { link.send(.recorded(id: id)) }
        case .paused: confirm(true)
        case .failure("", let reason):
            // The process itself, or an order that it did not understand: what was to be taken away may still be open.
            fail("the egress proxy has failed: \(reason)")
        case .failure(_, let reason):
            logger.error("egress", metadata: ["reason": "\(reason)"])
            note("the network does not work: \(reason)")
        }
    }

    /// Tells whoever follows what is in the audit now.
    private func publish(_ report: EgressReport, _ destination: Authority? = nil) {
        guard let decision = EgressDecision(report, session: item.sessionID, time: records.timestamp(), destination: destination) else { return }
        decisions.publish(decision)
    }

    /// Where calls go that have not ended.
    private var hosts: [Int: Authority] = [:]

    private func role(of forward: String) -> Forward.Postgres? {
        guard case .postgres(let postgres)? = plan?.policy.forwards.first(where: { $0.name == forward })?.kind else { return nil }
        return postgres
    }

    /// Tells the proxy of each midnight UTC. A clock that is set back begins no day again.
    private func turnDays(after begun: String, _ link: any EgressChannel) async {
        var present = begun
        while !Task.isCancelled, !hasEnded {
            do { try await pacing.sleep(UTCDay.rest(after: records.timestamp()) ?? .seconds(60)) } catch { return }
            let today = usage.day()
            guard today > present else { continue }
            present = today
            link.send(.day(session: link.session, used: usage.today))
        }
    }

    private func ask(_ id: Int, _ ask: EgressAsk, _ link: any EgressChannel) async {
        let question = ApprovalQuestion(
            sessionID: item.sessionID, agentID: nil, subject: .budget,
            summary: ask.summary, rule: "budgets.egress.\(ask.budget)",
            reason: "the byte budget of this \(ask.budget) is reached")
        let (pacing, patience) = (pacing, patience)
        defer { asking[id] = nil }
        do {
            let answer = try await desk.ask(question) { try await pacing.sleep(patience) }
            let approval = AuditRecord.Approval(subject: "budget", isAllowed: answer.isAllowed, by: answer.by, rule: question.rule)
            try await records.write(.approval(approval), durable: true)
            // What the question said: as much as the policy's budget is.
            link.send(.answer(id: id, bytes: answer.isAllowed ? ask.limit : nil))
        } catch is CancellationError {
            link.send(.answer(id: id, bytes: nil))
        } catch {
            fail("\(error)")
        }
    }

    // MARK: For the model

    func note(_ line: String) {
        guard notices.count < Self.mostNotices, !notices.contains(line) else { return omitted += notices.contains(line) ? 0 : 1 }
        notices.append(line)
    }

    /// Lines about the network for the next tool result, each told once. That a program was asked for a credential is none where it then got
    /// through: many bring one only when they are told to.
    func takeNotices() -> [String] {
        for line in challenges.values.sorted() { note(line) }
        challenges = [:]
        defer { (notices, omitted) = ([], 0) }
        return notices.map { "[\($0)]" } + (omitted > 0 ? ["[\(omitted) more network requests were refused]"] : [])
    }
}
