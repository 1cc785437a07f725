import PosternJSON

/// Reads and checks a request of OpenAI's Chat Completions.
package enum OpenAIRequest {
    /// The API has no mark for a failed tool call; a result that begins so is counted as failed.
    static let errorPrefix = "Error: "

    package struct Read: Sendable {
        package var conversation: Conversation
        /// `stream_options.include_usage`
        package var includesUsage: Bool
    }

    package static func read(_ body: [UInt8]) throws(ScriptedFault) -> Read {
        let value: JSON
        do {
            value = try JSON(parsing: body)
        } catch {
            throw .invalid("We could not parse the JSON body of your request: \(error)")
        }
        guard case .object(let request) = value else { throw .invalid("The request body is not a JSON object") }
        guard let model = request["model"]?.string, !model.isEmpty else { throw .invalid("you must provide a model parameter") }
        guard model != ScriptedModel.missingModel else {
            throw ScriptedFault(status: 404, message: "The model `\(model)` does not exist or you do not have access to it.")
        }
        guard let messages = request["messages"]?.array, !messages.isEmpty else { throw .invalid("'messages' must be a non-empty array") }
        let maximum = request["max_completion_tokens"] ?? request["max_tokens"]
        if let maximum, !maximum.isNull, maximum.int.map({ $0 < 1 }) ?? true { throw .invalid("'max_tokens' must be a positive integer") }
        var conversation = Conversation(model: model, maximumTokens: maximum?.int ?? 64_000, streams: request["stream"]?.bool ?? false)
        for tool in request["tools"]?.array ?? [] {
            guard tool["type"] == "function", let name = tool["function"]?["name"]?.string, AnthropicTools.isToolName(name) else {
                throw .invalid("Invalid tool: expected a function with a name of letters, digits, '_' and '-'")
            }
            conversation.prefixTokens += Tokens.count(tool)
        }
        try read(messages, into: &conversation)
        let window = ScriptedModel.contextWindow(of: model)
        let tokens = conversation.inputTokens
        guard tokens + (maximum?.int ?? 0) <= window else {
            throw .invalid(
                "This model's maximum context length is \(window) tokens. However, you requested \(tokens + (maximum?.int ?? 0)) tokens (\(tokens) in the "
                    + "messages, \(maximum?.int ?? 0) in the completion).")
        }
        return Read(conversation: conversation, includesUsage: request["stream_options"]?["include_usage"]?.bool ?? false)
    }

    private static func read(_ messages: [JSON], into conversation: inout Conversation) throws(ScriptedFault) {
        var pending: [String] = []
        for (index, message) in messages.enumerated() {
            let role = message["role"]?.string
            if role != "tool", !pending.isEmpty { throw unanswered(pending) }
            switch role {
            case "system", "developer": conversation.prefixTokens += Tokens.count(try text(of: message["content"], at: index))
            case "user":
                let text = try text(of: message["content"], at: index)
                conversation.turns.append(.init(role: .user, texts: text.isEmpty ? [] : [text], tokens: Tokens.count(message)))
            case "assistant":
                var turn = Conversation.Turn(role: .assistant, tokens: Tokens.count(message))
                // The API does not carry thinking back, so nothing of it can be missing.
                turn.thinkingBlocks = .max
                turn.unknownBlocks = .max
                turn.callIDs = try callIDs(of: message, at: index)
                pending = turn.callIDs
                conversation.turns.append(turn)
            case "tool":
                guard let id = message["tool_call_id"]?.string, let position = pending.firstIndex(of: id) else {
                    throw .invalid("messages.[\(index)]: a message with role 'tool' must be a response to a preceding message with 'tool_calls'")
                }
                pending.remove(at: position)
                let text = try text(of: message["content"], at: index)
                let result = Conversation.Result(isError: text.hasPrefix(errorPrefix), text: text)
                if let last = conversation.turns.indices.last, !conversation.turns[last].results.isEmpty {
                    conversation.turns[last].results.append(result)
                    conversation.turns[last].tokens += Tokens.count(text)
                } else {
                    conversation.turns.append(.init(role: .user, results: [result], tokens: Tokens.count(text)))
                }
            default: throw .invalid("messages.[\(index)].role: invalid value")
            }
        }
        if !pending.isEmpty { throw unanswered(pending) }
    }

    private static func unanswered(_ ids: [String]) -> ScriptedFault {
        .invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
                + "The following tool_call_ids did not have response messages: \(ids.joined(separator: ", "))")
    }

    private static func callIDs(of message: JSON, at index: Int) throws(ScriptedFault) -> [String] {
        var ids: [String] = []
        for call in message["tool_calls"]?.array ?? [] {
            guard call["type"] == "function", let id = call["id"]?.string, call["function"]?["name"]?.string != nil,
                call["function"]?["arguments"]?.string != nil
            else { throw .invalid("messages.[\(index)].tool_calls: a call needs 'id', 'type', 'function.name' and 'function.arguments'") }
            ids.append(id)
        }
        let content = message["content"]
        guard !ids.isEmpty || (content != nil && content != .null) else {
            throw .invalid("messages.[\(index)]: an assistant message needs 'content' or 'tool_calls'")
        }
        return ids
    }

    private static func text(of content: JSON?, at index: Int) throws(ScriptedFault) -> String {
        switch content {
        case .string(let text): return text
        case .array(let parts):
            var texts: [String] = []
            for part in parts {
                switch part["type"]?.string {
                case "text":
                    guard let text = part["text"]?.string else { throw .invalid("messages.[\(index)].content: a text part needs 'text'") }
                    texts.append(text)
                case "image_url", "input_audio", "file": break
                default: throw .invalid("messages.[\(index)].content: invalid part type")
                }
            }
            return texts.joined(separator: "\n")
        default: throw .invalid("messages.[\(index)].content: expected a string or an array of parts")
        }
    }
}
