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
                id: call.id, sessionID: sessionID, agentID: agentID(), subject: .tool, summary: Self.summary(call), rule: decision.rule,
                reason: decision.reason)
            let (pacing, patience) = (pacing, patience)
            let answer = try await desk.ask(question) { try await pacing.sleep(patience) }
            try await record(call, isAllowed: answer.isAllowed, by: answer.by, decision.rule)
            if answer.isAllowed { return nil }
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

    /// The tool and the start of its arguments, printable, in one line.
    private static func summary(_ call: ToolCall) -> String {
        let text = String("\(call.name) \(call.input.text)".prefix(500))
        return String(text.map { $0.isNewline || $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? " " : $0 })
    }
}
