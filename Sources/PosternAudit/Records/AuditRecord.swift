import PosternJSON

/// What one line of the audit log says, before the log gives it its place in the chain (`seq`, `prev`, `writer`).
/// Times are RFC 3339 texts; they come in, so that records can be made without a clock.
package struct AuditRecord: Sendable, Equatable {
    /// The form of a line. Lines of form 1 were not chained.
    package static let version = 2

    package var time: String
    package var sessionID: String?
    package var workID: String?
    /// The id of the `agent.*_tool_use` event that this belongs to.
    package var callID: String?
    package var tool: String?
    /// Digest of the policy in force; where `nil`, the log fills in that of the session, or `AuditSettings.policy`.
    package var policy: String?
    package var kind: Kind

    package init(
        time: String, sessionID: String? = nil, workID: String? = nil, callID: String? = nil, tool: String? = nil, policy: String? = nil, kind: Kind
    ) {
        self.time = time
        self.sessionID = sessionID
        self.workID = workID
        self.callID = callID
        self.tool = tool
        self.policy = policy
        self.kind = kind
    }
}
