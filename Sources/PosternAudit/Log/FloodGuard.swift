import PosternJSON

/// Keeps one session's flood from the others: equal denials and equal uses of a key are folded into counts, and a session that writes more than its share is
/// stopped, it alone. A value without I/O and of bounded size; times come in.
struct FloodGuard: Sendable {
    enum Verdict: Sendable, Equatable {
        /// Write these, in this order.
        case write([AuditRecord])
        /// Counted; nothing is written now.
        case folded
        /// The session must stop. The records say so, the first time.
        case refuse([AuditRecord])
    }

    private struct Fold: Sendable {
        var template: AuditRecord
        var what: String
        var since: Duration
        var count = 0
        var firstTime = ""
        var lastTime = ""
    }

    private struct Session: Sendable {
        /// Records that may still be written.
        var credit: Int
        var at: Duration
        var written = 0
        var isSuspended = false
        var folds: [String: Fold] = [:]
        var policy: String?
    }

    private let limits: FloodLimits
    private var sessions: [String: Session] = [:]
    /// For records without a session of known policy.
    private let policy: String?

    init(limits: FloodLimits, policy: String? = nil) {
        self.limits = limits
        self.policy = policy
    }

    mutating func admit(_ record: AuditRecord, now: Duration) -> Verdict {
        var record = record
        guard let id = record.sessionID else {
            record.policy = record.policy ?? policy
            return .write([record])
        }
        if sessions[id] == nil, sessions.count >= limits.sessions { forgetIdle(now) }
        var session = sessions[id] ?? Session(credit: limits.burst, at: now)
        defer { sessions[id] = session }
        if case .policyLoaded(let load) = record.kind { session.policy = load.digest }
        record.policy = record.policy ?? session.policy ?? policy
        earn(&session, now)

        if case .sessionStopped = record.kind {
            let summaries = session.folds.sorted { $0.key < $1.key }.compactMap { summary($0.value) }
            session = Session(credit: limits.burst, at: now)
            return .write(summaries + [record])
        }
        if let what = Self.denial(record) { return fold(record, what, &session, now) }
        return charge([record], &session)
    }

    /// Summaries of the folds whose time is over.
    mutating func expired(now: Duration) -> [AuditRecord] {
        var summaries: [AuditRecord] = []
        for id in sessions.keys.sorted() {
            for (key, fold) in sessions[id]?.folds.sorted(by: { $0.key < $1.key }) ?? [] where now - fold.since >= limits.foldWindow {
                sessions[id]?.folds[key] = nil
                if let record = summary(fold) { summaries.append(record) }
            }
        }
        return summaries
    }

    /// Whether any denial is being folded.
    var isCounting: Bool { sessions.values.contains { !$0.folds.isEmpty } }

    /// Summaries of all folds, for the end.
    mutating func drain() -> [AuditRecord] {
        let summaries = sessions.sorted { $0.key < $1.key }.flatMap { $0.value.folds.sorted { $0.key < $1.key }.compactMap { summary($0.value) } }
        sessions = [:]
        return summaries
    }

    // MARK: Equal denials

    /// What makes two denials, or two uses of a key, equal; `nil` for a record that is neither.
    private static func denial(_ record: AuditRecord) -> String? {
        switch record.kind {
        case .egressRefused(let request):
            "\(request.method) \(request.host):\(request.port) \(request.rule ?? "no rule"): \(request.decision)"
        case .tunnelRefused(let call): "\(call.route ?? "no route"): \(call.decision)"
        case .keyUsed(let name, let purpose): "\(name): \(purpose)"
        case .fileDecision(let decision) where !decision.isAllowed: "\(decision.operation) \(decision.path): \(decision.rule ?? "no rule")"
        default: nil
        }
    }

    private func fold(_ record: AuditRecord, _ what: String, _ session: inout Session, _ now: Duration) -> Verdict {
        var what = what
        var key = "\(record.kind.name) \(what)"
        if session.folds[key] == nil, session.folds.count >= limits.distinctDenials {
            what = ""
            key = record.kind.name
        }
        guard var fold = session.folds[key] else {
            // The first one is written in full, unless it is one of too many different ones.
            var fold = Fold(template: record, what: what, since: now)
            guard what.isEmpty else {
                session.folds[key] = fold
                return charge([record], &session)
            }
            count(&fold, record)
            session.folds[key] = fold
            return .folded
        }
        if now - fold.since < limits.foldWindow {
            count(&fold, record)
            session.folds[key] = fold
            return .folded
        }
        session.folds[key] = Fold(template: record, what: what, since: now)
        return charge((summary(fold).map { [$0] } ?? []) + [record], &session)
    }

    private func count(_ fold: inout Fold, _ record: AuditRecord) {
        if fold.count == 0 { fold.firstTime = record.time }
        fold.count += 1
        fold.lastTime = record.time
    }

    private func summary(_ fold: Fold) -> AuditRecord? {
        guard fold.count > 0 else { return nil }
        var record = fold.template
        record.time = fold.lastTime
        (record.callID, record.workID, record.tool) = (nil, nil, nil)
        record.kind = .repeated(
            .init(kind: fold.template.kind.name, what: fold.what, count: fold.count, firstTime: fold.firstTime, lastTime: fold.lastTime))
        return record
    }

    // MARK: A session's share

    private func earn(_ session: inout Session, _ now: Duration) {
        let gained = Int((now - session.at) / .milliseconds(1)) * limits.recordsPerSecond / 1000
        guard gained > 0 else { return }
        session.credit = min(limits.burst, session.credit + gained)
        session.at = now
    }

    private func charge(_ records: [AuditRecord], _ session: inout Session) -> Verdict {
        // How work ended is always told; it is bounded by the work that was let begin.
        let opens = records.contains { $0.kind.opensWork }
        if session.isSuspended, opens { return .refuse([]) }
        session.credit -= records.count
        session.written += records.count
        guard session.credit < 0, opens || !records.contains(where: { $0.kind.endsWork }) else { return .write(records) }
        let isFirst = !session.isSuspended
        session.isSuspended = true
        guard isFirst, var notice = records.last else { return .refuse([]) }
        notice.kind = .sessionSuspended(records: session.written)
        return .refuse([notice])
    }

    /// Makes room: a session that would start afresh anyway loses nothing by being forgotten. One whose policy is known is kept to its end.
    private mutating func forgetIdle(_ now: Duration) {
        sessions = sessions.filter { _, session in
            !session.folds.isEmpty || session.isSuspended || session.policy != nil
                || Int((now - session.at) / .milliseconds(1)) * limits.recordsPerSecond / 1000 + session.credit < limits.burst
        }
    }
}
