import PosternJSON

/// An event that a client may send (contract section 4.2), validated and in its normal form.
package enum ClientEvent: Sendable, Equatable {
    case message(content: [JSON])
    /// `threadID` nil: every thread.
    case interrupt(threadID: String?)
    case toolConfirmation(toolUseID: String, allow: Bool, denyMessage: String?)
    case toolResult(toolUseID: String, content: [JSON], isError: Bool)
    case customToolResult(toolUseID: String, content: [JSON], isError: Bool)
    case systemMessage(content: [JSON])

    package var type: String {
        switch self {
        case .message: "user.message"
        case .interrupt: "user.interrupt"
        case .toolConfirmation: "user.tool_confirmation"
        case .toolResult: "user.tool_result"
        case .customToolResult: "user.custom_tool_result"
        case .systemMessage: "system.message"
        }
    }

    /// The event's own fields, without `id`, `type` and `processed_at`.
    package var fields: JSONObject {
        switch self {
        case .message(let content), .systemMessage(let content): ["content": .array(content)]
        case .interrupt(let threadID): threadID.map { ["session_thread_id": .string($0)] } ?? [:]
        case .toolConfirmation(let id, let allow, let denyMessage):
            denyMessage.map { ["tool_use_id": .string(id), "result": allow ? "allow" : "deny", "deny_message": .string($0)] }
                ?? ["tool_use_id": .string(id), "result": allow ? "allow" : "deny"]
        case .toolResult(let id, let content, let isError):
            ["tool_use_id": .string(id), "content": .array(content), "is_error": .bool(isError)]
        case .customToolResult(let id, let content, let isError):
            ["custom_tool_use_id": .string(id), "content": .array(content), "is_error": .bool(isError)]
        }
    }
}
