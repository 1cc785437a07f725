import PosternJSON

/// Decides from a session's events when a run is over, and with which status. A value without I/O.
package struct SessionOutcome: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable {
        case goesOn
        case over(CommandStatus, String)
    }

    /// Calls that nobody but a client can answer, by event id: what they need.
    private var needsClient: [String: String] = [:]
    private var lastError: String?

    package init() {}

    /// - Parameter event: in log order; each once.
    package mutating func consume(_ event: JSON) -> Verdict {
        let id = event["id"]?.string ?? ""
        switch event["type"]?.string {
        case "agent.tool_use", "agent.mcp_tool_use":
            if event["evaluated_permission"]?.string == "ask" {
                needsClient[id] = "confirmation of \(event["name"]?.string ?? "a tool")"
            }
        case "agent.custom_tool_use":
            needsClient[id] = "the result of \(event["name"]?.string ?? "a custom tool")"
        case "user.tool_confirmation": if let call = event["tool_use_id"]?.string { needsClient[call] = nil }
        case "user.custom_tool_result": if let call = event["custom_tool_use_id"]?.string { needsClient[call] = nil }
        case "session.error": lastError = event.at("error.message")?.string
        case "session.status_idle": return verdict(event["stop_reason"] ?? .null, details: event["stop_details"])
        case "session.status_terminated": return .over(.sessionFailed, "terminated" + because)
        case "session.deleted": return .over(.sessionFailed, "the session was deleted")
        default: break
        }
        return .goesOn
    }

    private var because: String { lastError.map { ": \($0)" } ?? "" }

    private func verdict(_ reason: JSON, details: JSON?) -> Verdict {
        switch reason["type"]?.string ?? "end_turn" {
        case "end_turn": return .over(.success, "end_turn")
        case "requires_action":
            let waiting = (reason["event_ids"]?.array ?? []).compactMap(\.string).compactMap { id in needsClient[id].map { "\($0) (\(id))" } }
            // The rest is the worker's to answer.
            return waiting.isEmpty ? .goesOn : .over(.sessionWaits, "waits for " + waiting.joined(separator: ", "))
        case "refusal": return .over(.sessionFailed, "refused by the model" + (details?["explanation"]?.string.map { ": \($0)" } ?? ""))
        case let other: return .over(.sessionFailed, other + because)
        }
    }
}
