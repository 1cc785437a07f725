import PosternJSON

/// Reads the messages of a request: roles, blocks, and that every tool call is answered at once.
enum AnthropicMessages {
    static func read(
        _ messages: [JSON], into conversation: inout Conversation, cache: inout CacheBreakpoints
    ) throws(ScriptedFault) {
        guard !messages.isEmpty else { throw .invalid("messages: at least one message is required") }
        conversation.turns.reserveCapacity(messages.count)
        var callIDs: Set<String> = []
        for (index, message) in messages.enumerated() {
            guard case .object(let message) = message else { throw .invalid("messages.\(index): Input should be an object") }
            let role = try role(of: message, at: index)
            for key in message.keys where key != "role" && key != "content" && !(role == .system && key == "output_config") {
                throw .invalid("messages.\(index).\(key): Extra inputs are not permitted")
            }
            guard let content = message["content"] else { throw .invalid("messages.\(index).content: Field required") }
            let pending = conversation.turns.last?.callIDs ?? []
            var reader = AnthropicBlockReader(role: role, message: index, pendingCalls: Set(pending))
            try reader.read(content, isLast: index == messages.count - 1, cache: &cache)
            try checkAnswers(pending: pending, given: reader.answeredCalls, at: index)
            for id in reader.turn.callIDs where !callIDs.insert(id).inserted {
                throw .invalid("messages: `tool_use` ids must be unique")
            }
            conversation.turns.append(reader.turn)
        }
        if let unanswered = conversation.turns.last?.callIDs, !unanswered.isEmpty {
            throw missingResults(unanswered, at: messages.count - 1)
        }
    }

    private static func role(of message: JSONObject, at index: Int) throws(ScriptedFault) -> Conversation.Role {
        guard let value = message["role"] else { throw .invalid("messages.\(index).role: Field required") }
        switch value.string {
        case "user": return .user
        case "assistant":
            guard index > 0 else { throw .invalid("messages: first message must use the \"user\" role") }
            return .assistant
        case "system":
            guard index > 0 else { throw .invalid("messages: first message must use the \"user\" role") }
            return .system
        default:
            throw .invalid("messages: Unexpected role \"\(value.string ?? value.text)\". Allowed roles are \"user\" or \"assistant\".")
        }
    }

    private static func checkAnswers(pending: [String], given: Set<String>, at index: Int) throws(ScriptedFault) {
        guard !pending.isEmpty else { return }
        let missing = pending.filter { !given.contains($0) }
        guard missing.isEmpty else { throw missingResults(missing, at: index - 1) }
    }

    private static func missingResults(_ ids: [String], at index: Int) -> ScriptedFault {
        .invalid(
            "messages.\(index): `tool_use` ids were found without `tool_result` blocks immediately after: \(ids.joined(separator: ", ")). "
                + "Each `tool_use` block must have a corresponding `tool_result` block in the next message.")
    }
}
