import ManagedAgentsClient
import PosternAudit
import PosternJSON
import PosternPolicy

/// Holds each tool call against the session's policy before anything of it happens.
struct ToolPolicy: Sendable {
    let rules: LiveRules
    let desk: ApprovalDesk
    let audit: AuditLog
    let sessionID: String
    let agentID: @Sendable () -> String?
    /// How long a call waits for an answer.
    let patience: Duration
    let pacing: Pacing
    let timestamp: @Sendable () -> String

    /// Why the call may not run, for the model and the audit; `nil` when it may.
    /// - Throws: `FileError` when an answer cannot be recorded, `CancellationError` when the call is over meanwhile.
    func refusal(of call: ToolCall) async throws -> String? {
        guard let policy = rules.current?.policy else { return "the session has no policy yet" }
        let decision = policy.tools.decide(tool: call.name, input: call.input)
        switch decision.verdict {
        case .allow: return nil
        case .deny:
            try await record(call, isAllowed: false, by: "policy", decision.rule)
            return
                "\(decision.reason) (\(decision.rule ?? "no entry of tools.allow names it")); the operator of this perimeter can change that in the policy \(policy.name)"
        case .ask:
            let question = ApprovalQuestion(
                callID: call.id, sessionID: sessionID, agentID: agentID(), subject: .tool, summary: summary(call), rule: decision.rule,
                reason: decision.reason)
            let (pacing, patience) = (pacing, patience)
            let answer = try await desk.ask(question) { try await pacing.sleep(patience) }
            try await record(call, isAllowed: answer.isAllowed, by: answer.by, decision.rule)
            if answer.isAllowed {
                // What holds now decides, not what held when the question was put.
                guard let now = rules.current?.policy, now.tools.decide(tool: call.name, input: call.input).verdict != .deny else {
                    return "the session's policy became narrower while the call waited"
                }
                return nil
            }
            return answer.by == "time-out"
                ? "\(decision.reason), and nobody inside the perimeter answered within \(patience.components.seconds) s"
                : "\(decision.reason), and it was not approved"
        }
    }

    private func record(_ call: ToolCall, isAllowed: Bool, by: String, _ rule: String?) async throws(FileError) {
        let approval = AuditRecord.Approval(subject: "tool", isAllowed: isAllowed, by: by, rule: rule)
        try await audit.append(
            AuditRecord(time: timestamp(), sessionID: sessionID, callID: call.id, tool: call.name, kind: .approval(approval)), durable: false)
    }

    /// The tool and its arguments, printable, in one line. A long one shows its beginning, its end and what is between them by size and digest:
    /// whoever answers must see that there is more.
    private func summary(_ call: ToolCall) -> String {
        let text = Self.oneLine("\(call.name) \(call.input.text)")
        guard text.count > Self.longestSummary else { return text }
        let half = Self.longestSummary / 2
        let digest = audit.digest(.input, of: call.input)
        return "\(text.prefix(half)) […\(text.count - 2 * half) characters are left out here; the input has \(digest.bytes) bytes, "
            + "HMAC-SHA256 \(digest.digest)…] \(text.suffix(half))"
    }

    private static let longestSummary = 2000

    /// Without control characters, and with runs of blanks as one: padding must push nothing out of sight.
    private static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            let isBlank = scalar.properties.isWhitespace || [.control, .format].contains(scalar.properties.generalCategory)
            if isBlank { if line.last != " " { line.append(" ") } } else { line.unicodeScalars.append(scalar) }
        }
        return line
    }
}
