import PosternJSON

/// A call that the model made in its last answer, from the answer to the result.
struct ToolCall: Sendable, Equatable {
    enum Verdict: Sendable, Equatable {
        case allowed
        case denied(message: String?)
    }

    /// The id of the `agent.*_tool_use` event, by which clients and workers name the call.
    var eventID: String
    /// The model's own id (`toolu_…`).
    var toolUseID: String
    var name: String
    var owner: Toolset.Owner
    /// For ``Toolset/Owner/server``.
    var mcp: Toolset.MCPTool?
    /// What the tool is called with, for ``Toolset/Owner/server``; others read it in the event.
    var input: JSONObject = [:]
    var permission: Permission
    /// The log position of its event.
    var sequence: Int
    var verdict: Verdict?
    /// The `tool_result` block for the model, once there is one.
    var result: JSON?

    /// Waits for a person's word.
    var isHeld: Bool { result == nil && permission == .ask && verdict == nil }
    /// Will be answered by the server itself when the thread goes on.
    var isRefused: Bool {
        if case .denied = verdict { return result == nil }
        return result == nil && permission == .deny
    }
    /// Somebody outside must do something before the model can go on.
    var isOutstanding: Bool { result == nil && !isRefused }
    /// May be run now, by its owner.
    var isRunnable: Bool { isOutstanding && !isHeld }
    /// Runs at an MCP server: what is runnable there was started by the step that made it so.
    var isUnderWay: Bool { isRunnable && owner == .server }

    /// What the model is told of a refused call; the words of a denial are the reference's.
    var refusal: String {
        switch verdict {
        case .denied(let message?): "Permission to use \(mcp?.name ?? name) has been rejected. Rejection message: \(message)"
        case .denied(nil): "Permission to use \(mcp?.name ?? name) has been rejected."
        default: "The tool \(name) is not available in this session."
        }
    }

    /// The type of the event that carries a result for this call, and the member that names the call.
    var resultEvent: (type: String, key: String) {
        switch owner {
        case .client: ("user.custom_tool_result", "custom_tool_use_id")
        case .worker: ("user.tool_result", "tool_use_id")
        case .server: ("agent.mcp_tool_result", "mcp_tool_use_id")
        }
    }

    /// The same for a result in the server's own words.
    var refusalEvent: (type: String, key: String) { owner == .server ? resultEvent : ("agent.tool_result", "tool_use_id") }
}
