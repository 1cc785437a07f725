import PosternJSON

/// A request in the middle of being read, message by message: roles, blocks, and that every tool call is answered at once. A value, so
/// that the reading of a long history can be taken up again where its next request goes on.
struct AnthropicReading: Sendable {
    private var conversation: Conversation
    private var cache: CacheBreakpoints
    /// Whether the request asks for a breakpoint at its end.
    private let cachesLast: Bool
    /// Hashes of the ids of all calls, which must be unique.
    private var callIDs: Set<UInt64> = []

    init(conversation: Conversation, cache: CacheBreakpoints, cachesLast: Bool) {
        self.conversation = conversation
        self.cache = cache
        self.cachesLast = cachesLast
    }

    var messageCount: Int { conversation.turns.count }

    /// Reads the messages that follow those read before.
    mutating func read(_ messages: ArraySlice<JSON>) throws(ScriptedFault) {
        for message in messages {
            let index = conversation.turns.count
            guard case .object(let message) = message else { throw .invalid("messages.\(index): Input should be an object") }
            let role = try role(of: message, at: index)
            for key in message.keys where key != "role" && key != "content" && !(role == .system && key == "output_config") {
                throw .invalid("messages.\(index).\(key): Extra inputs are not permitted")
            }
            guard let content = message["content"] else { throw .invalid("messages.\(index).content: Field required") }
            let pending = conversation.turns.last?.callIDs ?? []
            var reader = AnthropicBlockReader(role: role, message: index, pendingCalls: Set(pending))
            try reader.read(content, cache: &cache)
            try Self.checkAnswers(pending: pending, given: reader.answeredCalls, at: index)
            for id in reader.turn.callIDs {
                var hash = StableHash()
                hash.combine(id)
                guard callIDs.insert(hash.value).inserted else { throw .invalid("messages: `tool_use` ids must be unique") }
            }
            conversation.turns.append(reader.turn)
        }
    }

    /// The whole conversation, after the last message.
    func finished() throws(ScriptedFault) -> Conversation {
        guard let last = conversation.turns.indices.last else { throw .invalid("messages: at least one message is required") }
        guard conversation.turns[last].callIDs.isEmpty else { throw Self.missingResults(conversation.turns[last].callIDs, at: last) }
        var conversation = conversation
        if cachesLast { conversation.turns[last].cachedTokens = conversation.turns[last].tokens }
        conversation.cachesForAnHour = cache.hasHour
        let window = ScriptedModel.contextWindow(of: conversation.model)
        let tokens = conversation.inputTokens
        guard tokens <= window else { throw .invalid("prompt is too long: \(tokens) tokens > \(window) maximum") }
        return conversation
    }

    private func role(of message: JSONObject, at index: Int) throws(ScriptedFault) -> Conversation.Role {
        guard let value = message["role"] else { throw .invalid("messages.\(index).role: Field required") }
        switch value.string {
        case "user": return .user
        case "assistant":
            guard index > 0 else { throw .invalid("messages: first message must use the \"user\" role") }
            return .assistant
        case "system" where conversation.model != ScriptedModel.plainModel:
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
