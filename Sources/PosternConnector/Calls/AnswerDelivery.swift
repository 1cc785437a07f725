import Crypto
import FoundationEssentials
import NIOCore
import PosternGate
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// What an answer passes on its way to the caller, whatever a policy says of it: bounds and budgets, the binding of sessions, and the gate that
/// keeps injected values, and what else the route names, from coming back.
struct AnswerDelivery: Sendable {
    let caller: ByteStream
    let route: ConnectorConfiguration.Route
    let routeName: String
    let redaction: RedactionProgram?
    let sessions: SessionTags
    let subject: CallerSubject
    /// The upstream's id of the session that the request names.
    let session: [UInt8]?
    let book: ByteBook
    let now: @Sendable () -> Date
    let progress: CallProgress
    let watch: WriteWatch

    /// One answer while it passes: a value; what it finds is told at its end.
    struct Flow: Sendable {
        fileprivate(set) var head: ResponseHead
        fileprivate var redactor: Redactor?
        fileprivate var scanner: EventIDScanner?
        fileprivate var session: [UInt8]?
        fileprivate var bytes = 0
        fileprivate var found = RedactionCounts()

        /// Whether the bytes that come out may be others than those that went in.
        var changesBytes: Bool { redactor != nil }
    }

    // MARK: The head

    /// The head as the caller gets it. Throws where the answer cannot be passed on.
    func open(_ answer: ResponseHead, framing: BodyFraming) throws(CallError) -> Flow {
        var flow = Flow(head: answer)
        if case .length(let length) = framing { try checkLength(length) }
        if let redaction {
            // Of several codings a client undoes all.
            let codings = answer.fields.named("content-encoding").flatMap(\.tokens)
            guard framing.isEmpty || codings.allSatisfy({ $0 == "identity" }) else {
                throw .upstreamAnswer("the upstream's answer has a content coding that was not asked for, and the route has to read it")
            }
            try mask(&flow, redaction)
            if !framing.isEmpty { flow.redactor = Redactor(redaction) }
        }
        flow.session = try sessions.close(&flow.head, for: subject) ?? session
        let isStream = answer.fields.named("content-type").contains { $0.holds("event-stream") }
        if isStream, !framing.isEmpty { flow.scanner = EventIDScanner() }
        return flow
    }

    /// Interim answers (RFC 9110, section 15.2) hold fields too; where these would have to be read, none is passed on.
    var passesInterim: Bool { redaction == nil }

    private func mask(_ flow: inout Flow, _ program: RedactionProgram) throws(CallError) {
        flow.head.reason = try masked(flow.head.reason, &flow, program)
        var fields = HTTPFields()
        for field in flow.head.fields.all {
            // A name that holds what is looked for has no form without it.
            guard try masked(Array(field.name.utf8), &flow, program) == Array(field.name.utf8) else { continue }
            fields.all.append(HTTPField(field.name, try masked(field.value, &flow, program)))
        }
        flow.head.fields = fields
    }

    private func masked(_ bytes: [UInt8], _ flow: inout Flow, _ program: RedactionProgram) throws(CallError) -> [UInt8] {
        let result = Redactor.redact(bytes, program)
        flow.found.add(result.counts)
        if let rule = result.blockedBy {
            note(flow)
            throw .answerBlocked(rule)
        }
        return result.counts.isEmpty ? bytes : result.output
    }

    // MARK: The body

    /// Takes a piece of the upstream's body into account. Throws where it may not pass.
    func count(_ piece: ByteBuffer, _ flow: inout Flow) async throws(CallError) {
        flow.bytes += piece.readableBytes
        try checkLength(flow.bytes)
        if let ids = flow.scanner?.feed(piece.readableBytesView), !ids.isEmpty { sessions.events.saw(ids, caller: subject, session: flow.session) }
        for account in accounts {
            let charge = ByteCharge(bytes: piece.readableBytes, session: account.name, day: day)
            let refusal: BudgetRefusal?
            do { refusal = try await book.charge(charge, ByteLimits(perSession: account.limit)) } catch {
                // What cannot be counted does not pass.
                throw .auditFailed("the bytes of answers cannot be counted: \(error)")
            }
            guard refusal == nil else { throw Self.usedUp(account) }
        }
    }

    /// The piece as it goes to the caller; a little may be held back.
    func pass(_ piece: ByteBuffer, _ flow: inout Flow) throws(CallError) -> ByteBuffer {
        guard flow.redactor != nil else { return piece }
        var output: [UInt8] = []
        flow.redactor?.feed(piece.readableBytesView, into: &output)
        try checkBlocked(flow)
        return ByteBuffer(bytes: output)
    }

    /// What was held back, at the end of the body.
    func finish(_ flow: inout Flow) throws(CallError) -> ByteBuffer {
        var output: [UInt8] = []
        flow.redactor?.finish(into: &output)
        try checkBlocked(flow)
        return ByteBuffer(bytes: output)
    }

    /// Notes what was found, for the record of the outcome.
    func note(_ flow: Flow) {
        guard let redaction else { return }
        var found = flow.found
        if let redactor = flow.redactor { found.add(redactor.counts) }
        progress.redacted(redaction.byAction(found))
    }

    private func checkBlocked(_ flow: Flow) throws(CallError) {
        if let rule = flow.redactor?.blockedBy { throw .answerBlocked(rule) }
    }

    // MARK: Bounds

    private func checkLength(_ bytes: Int) throws(CallError) {
        guard bytes <= route.limits.answerBytes else { throw .answerTooLarge(route.limits.answerBytes) }
        if let limit = route.answers.bytesPerCall, bytes > limit {
            throw .answerBudget("an answer may have \(limit) bytes (answers.bytes_per_call)")
        }
    }

    private struct Account {
        /// In the book.
        var name: String
        var limit: Int
        /// In the document.
        var key: String
    }

    private static func usedUp(_ account: Account) -> CallError {
        .answerBudget("\(account.limit) bytes may come back (answers.\(account.key)), and they are used up")
    }

    private var day: String { now().formatted(.iso8601.year().month().day()) }

    /// What the answer's bytes are charged to: the caller's account on this route, and the route's of this day.
    private var accounts: [Account] {
        guard route.answers.isCounted else { return [] }
        var accounts: [Account] = []
        if let limit = route.answers.bytesPerSession {
            let name = "\(routeName) caller \(Hexadecimal.text(SHA256.hash(data: subject.bytes).prefix(16)))"
            accounts.append(Account(name: name, limit: limit, key: "bytes_per_session"))
        }
        if let limit = route.answers.bytesPerDay {
            accounts.append(Account(name: "\(routeName) day \(day)", limit: limit, key: "bytes_per_day"))
        }
        return accounts
    }

    /// Throws where nothing is left that could come back, so that nothing is asked for.
    func checkBudget() throws(CallError) {
        for account in accounts {
            let used = book.bytes(session: account.name)
            guard used < account.limit else { throw Self.usedUp(account) }
        }
    }

    // MARK: Telling

    /// Gives bytes to the caller, for as long as it is there; a call that outlives its caller goes on without it.
    func tell(_ bytes: ByteBuffer, outlives: Bool) async throws(CallError) {
        guard !progress.now.isAlone else { return }
        do {
            try await watch.write(bytes, to: caller, .caller, within: route.limits.take)
        } catch is TimedOut {
            throw .callerStalled("the caller did not take its answer in time (limits.take)")
        } catch {
            guard outlives, !Task.isCancelled else { throw .callerGone("\(error)") }
            progress.leaveAlone()
        }
    }
}
