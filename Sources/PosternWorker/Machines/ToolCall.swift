import PosternJSON

/// A tool use of the agent's that a worker may have to answer.
package struct ToolCall: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// `agent.tool_use`, answered by `user.tool_result`.
        case tool
        /// `agent.custom_tool_use`, answered by `user.custom_tool_result`.
        case custom
    }

    package var id: String
    package var kind: Kind
    package var name: String
    package var input: JSON
    package var threadID: String?
    /// `evaluated_permission`, if the event had one.
    package var permission: String?

    package init(id: String, kind: Kind, name: String, input: JSON, threadID: String? = nil, permission: String? = nil) {
        self.id = id
        self.kind = kind
        self.name = name
        self.input = input
        self.threadID = threadID
        self.permission = permission
    }

    /// Reads an event of the log; `nil` for every other kind and for one without id, name or an object as input.
    init?(event: JSON, type: String) {
        switch type {
        case "agent.tool_use": kind = .tool
        case "agent.custom_tool_use": kind = .custom
        default: return nil
        }
        guard let id = event["id"]?.string, let name = event["name"]?.string else { return nil }
        self.id = id
        self.name = name
        input = event["input"] ?? .object([:])
        threadID = event["session_thread_id"]?.string
        permission = event["evaluated_permission"].map { $0.string ?? "" }
    }
}
