import PosternAudit
import PosternJSON
import Synchronization

/// The gate for results: every byte of a tool's output that leaves the perimeter passes `pass`, which decides its size, redacts it, counts
/// it and writes the audit records. A call starts only after `intend` has put the intent on the disk.
package final class ResultGate: Sendable {
    package struct Limits: Sendable {
        /// Largest event, bytes; a larger one is replaced by an error that says so. The default holds a PDF of 20 MiB in base64.
        package var maximumEventBytes = 32 << 20
        /// Bytes that one session may send in all; `nil` for no bound.
        package var sessionBudget: Int?
        /// Bytes that all sessions may send in one day of UTC; `nil` for no bound.
        package var dayBudget: Int?

        package init() {}
    }

    /// What holds for one session where it differs from the rest.
    private struct Session: Sendable {
        var limits: ByteLimits
        var program: Result<RedactionProgram, RedactionError>
    }

    private let audit: AuditLog
    private let limits: ByteLimits
    private let program: Result<RedactionProgram, RedactionError>
    private let hashKey: [UInt8]
    private let book: ByteBook
    private let timestamp: @Sendable () -> String
    private let sessions = Mutex<[String: Session]>([:])

    /// `timestamp` gives the present time as RFC 3339 in UTC. `book` may be one with a file, so that budgets outlive the worker. Rules that
    /// cannot be used let nothing pass; `check()` says why.
    package init(
        audit: AuditLog, limits: Limits = Limits(), redaction: RedactionRules = .standard, book: ByteBook = ByteBook(),
        timestamp: @escaping @Sendable () -> String
    ) {
        self.audit = audit
        self.limits = ByteLimits(limits)
        self.book = book
        self.timestamp = timestamp
        // Derived, so that equal texts look equal for as long as the worker keeps its audit key.
        let hashKey = Array(audit.key.digest(.output, canonical: Array("postern redaction hash key".utf8)).utf8)
        self.hashKey = hashKey
        program = Result { () throws(RedactionError) in try RedactionProgram(redaction, hashKey: hashKey) }
    }

    /// Throws if the rules cannot be used. For start-up.
    package func check() throws(RedactionError) { _ = try program.get() }

    /// Sets the rules, the limits and the secrets of one session, at its start and whenever they change. The secrets are masked in every
    /// result of the session. If this throws, nothing of the session passes.
    package func prepare(session id: String, limits: Limits, redaction: RedactionRules, secrets: [KnownSecret]) throws(RedactionError) {
        let program = Result { () throws(RedactionError) in try RedactionProgram(redaction, secrets: secrets, hashKey: hashKey) }
        sessions.withLock { $0[id] = Session(limits: ByteLimits(limits), program: program) }
        _ = try program.get()
    }

    /// Puts what is about to be done on the disk. If this throws, the call must not run.
    package func intend(_ call: GateCall, input: JSON) async throws(FileError) {
        try await audit.append(record(call, .intent(input: audit.digest(.input, of: input))), durable: true)
    }

    /// The one way out. Content is normalised, sized, redacted, counted and recorded. The outcome's record reaches the disk with the next
    /// intent at the latest.
    package func pass(_ result: OutgoingResult, of call: GateCall) async throws(FileError) -> PassedResult {
        var result = result
        var content = JSON.array(ResultBlocks.normalised(result.content))
        var event = Self.encode(call, content, result.isError)
        let rules = rules(of: call.sessionID)
        if let refusal = try await charge(event.count, call.sessionID, rules.limits) {
            let failure = Self.overBudget(refusal)
            let state = AuditRecord.BudgetState(scope: refusal.scope.rawValue, limit: refusal.limit, used: refusal.used, state: "exhausted")
            try await audit.append(record(call, .budget(state)), durable: false)
            result.isError = true
            result.reason = failure.reason
            result.offloadedTo = nil
            content = .array(failure.content)
            event = Self.encode(call, content, true)
            try await book.add(ByteCharge(bytes: event.count, session: call.sessionID, day: day), rules.limits)
        } else {
            let counted = event.count
            try await redact(&content, &result, call, rules.program)
            event = Self.encode(call, content, result.isError)
            // Marks can be longer than what they stand for.
            if event.count > counted { try await book.add(ByteCharge(bytes: event.count - counted, session: call.sessionID, day: day), rules.limits) }
        }
        let outcome = AuditRecord.Outcome(
            output: audit.digest(.output, of: content), isError: result.isError, producedBytes: result.producedBytes,
            offloadedTo: result.offloadedTo, exitCode: result.exitCode, milliseconds: result.duration.map { Int($0 / .milliseconds(1)) },
            timedOut: result.timedOut, reason: result.reason)
        try await audit.append(record(call, .outcome(outcome)), durable: false)
        return PassedResult(call: call, event: event)
    }

    /// A result that passed before the worker was stopped and was never posted, as its journal kept it. It is counted and recorded again.
    package func readmit(event: [UInt8], of call: GateCall) async throws(FileError) -> PassedResult {
        let json = (try? JSON(parsing: event)) ?? .null
        guard json["tool_use_id"]?.string ?? json["custom_tool_use_id"]?.string == call.callID, let content = json["content"] else {
            return try await pass(
                .failure("The result of this call was lost; its outcome is unknown and it was not repeated.", reason: "lost"), of: call)
        }
        try await book.add(ByteCharge(bytes: event.count, session: call.sessionID, day: day), rules(of: call.sessionID).limits)
        let outcome = AuditRecord.Outcome(
            output: audit.digest(.output, of: content), isError: json["is_error"]?.bool ?? false, producedBytes: nil, offloadedTo: nil,
            exitCode: nil, milliseconds: nil, timedOut: false, reason: "sent again from the journal")
        try await audit.append(record(call, .outcome(outcome)), durable: false)
        return PassedResult(call: call, event: event)
    }

    /// Bytes of events that passed for that session.
    package func bytesPassed(session id: String) -> Int { book.bytes(session: id) }

    /// Drops what is kept of a session that is over, and returns its count.
    @discardableResult
    package func forget(session id: String) -> Int {
        sessions.withLock { $0[id] = nil }
        return book.forget(session: id)
    }

    /// Writes the counts as they are. For an orderly end.
    package func finish() async throws(FileError) { try await book.finish() }

    // MARK: Parts

    private var day: String { String(timestamp().prefix(10)) }

    private func record(_ call: GateCall, _ kind: AuditRecord.Kind) -> AuditRecord {
        AuditRecord(time: timestamp(), sessionID: call.sessionID, workID: call.workID, callID: call.callID, tool: call.tool, kind: kind)
    }

    private func rules(of session: String) -> Session {
        sessions.withLock { $0[session] } ?? Session(limits: limits, program: program)
    }

    private func charge(_ bytes: Int, _ session: String, _ limits: ByteLimits) async throws(FileError) -> BudgetRefusal? {
        try await book.charge(ByteCharge(bytes: bytes, session: session, day: day), limits)
    }

    private func redact(
        _ content: inout JSON, _ result: inout OutgoingResult, _ call: GateCall, _ program: Result<RedactionProgram, RedactionError>
    ) async throws(FileError) {
        let usable: RedactionProgram
        switch program {
        case .success(let program): usable = program
        case .failure(let error):
            content = [ResultBlocks.text("The result was kept inside: it could not be checked. \(error)")]
            (result.isError, result.reason) = (true, "redaction rules cannot be used")
            return
        }
        var redaction = ContentRedaction(usable)
        let redacted = redaction.redact(content)
        for (action, counts) in usable.byAction(redaction.counts) {
            let body = AuditRecord.Redactions(door: "result", action: action.rawValue, counts: counts)
            try await audit.append(record(call, .redacted(body)), durable: false)
        }
        if let rule = redaction.blockedBy {
            content = [
                ResultBlocks.text("[blocked: \(rule)] The result holds something that may not leave the perimeter. Leave it out and try again.")
            ]
            (result.isError, result.reason) = (true, "blocked by redaction rule \(rule)")
        } else {
            content = redacted
        }
    }

    private static func overBudget(_ refusal: BudgetRefusal) -> OutgoingResult {
        switch refusal.scope {
        case .event:
            .failure(
                "The result of \(refusal.wanted) bytes is larger than the \(refusal.limit) bytes that may leave in one result.",
                reason: "result too large")
        case .session, .host:
            .failure("The session has used up the \(refusal.limit) bytes of results that may leave the perimeter.", reason: "session budget")
        case .day:
            .failure("The \(refusal.limit) bytes of results that may leave the perimeter today are used up.", reason: "day budget")
        }
    }

    private static func encode(_ call: GateCall, _ content: JSON, _ isError: Bool) -> [UInt8] {
        let event: JSON =
            switch call.kind {
            case .tool: ["type": "user.tool_result", "tool_use_id": .string(call.callID), "is_error": .bool(isError), "content": content]
            case .customTool:
                ["type": "user.custom_tool_result", "custom_tool_use_id": .string(call.callID), "is_error": .bool(isError), "content": content]
            }
        return event.encoded
    }
}

extension ByteLimits {
    fileprivate init(_ limits: ResultGate.Limits) {
        self.init(perEvent: limits.maximumEventBytes, perSession: limits.sessionBudget, perDay: limits.dayBudget)
    }
}
