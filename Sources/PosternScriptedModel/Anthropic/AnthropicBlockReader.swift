import PosternJSON

/// Reads the content of one message.
struct AnthropicBlockReader {
    private(set) var turn: Conversation.Turn
    /// The ids of the tool results that came before any other block: only these answer the calls of the message before.
    private(set) var answeredCalls: Set<String> = []
    private let message: Int
    private let pendingCalls: Set<String>
    private var seenResults: Set<String> = []
    private var resultsAreOver = false

    init(role: Conversation.Role, message: Int, pendingCalls: Set<String>) {
        turn = Conversation.Turn(role: role)
        self.message = message
        self.pendingCalls = pendingCalls
    }

    mutating func read(_ content: JSON, cache: inout CacheBreakpoints) throws(ScriptedFault) {
        switch content {
        case .string(let text):
            guard !text.isEmpty else { throw emptyContent }
            resultsAreOver = true
            try add(text: text)
        case .array(let blocks):
            guard !blocks.isEmpty else { throw emptyContent }
            for (index, block) in blocks.enumerated() {
                guard case .object(let object) = block else {
                    throw .invalid("messages.\(message).content.\(index): Input should be an object")
                }
                try read(object, block, at: index)
                if try cache.note(object["cache_control"], at: "messages.\(message).content.\(index)") {
                    if object["type"] == "thinking" {
                        throw .invalid("messages.\(message).content.\(index).thinking.cache_control: Extra inputs are not permitted")
                    }
                    turn.cachedTokens = turn.tokens
                }
            }
        default: throw .invalid("messages.\(message).content: Input should be a valid string or list")
        }
    }

    private var emptyContent: ScriptedFault {
        turn.role == .user
            ? .invalid("messages.\(message): user messages must have non-empty content")
            : .invalid("messages.\(message): all messages must have non-empty content except for the optional final assistant message")
    }

    private mutating func read(_ block: JSONObject, _ value: JSON, at index: Int) throws(ScriptedFault) {
        guard let type = block["type"]?.string else { throw .invalid("messages.\(message).content.\(index).type: Field required") }
        let path = "messages.\(message).content.\(index)"
        if type == "tool_result" { return try addResult(block, at: index) }
        resultsAreOver = true
        switch (turn.role, type) {
        case (_, "text"):
            guard let text = block["text"]?.string else { throw .invalid("\(path).text.text: Field required") }
            try add(text: text)
        case (.assistant, "tool_use"): try addCall(block, at: path)
        case (.assistant, "thinking"):
            guard let text = block["thinking"]?.string else { throw .invalid("\(path).thinking.thinking: Field required") }
            guard let signature = block["signature"]?.string else { throw .invalid("\(path).thinking.signature: Field required") }
            guard block.count == 3, signature == ScriptSignature.of(text) else { throw .invalid("\(path): Invalid `signature` in `thinking` block") }
            turn.thinkingBlocks += 1
            turn.tokens += Tokens.count(text)
        case (.assistant, AnthropicReply.unknownType):
            guard let note = block["note"]?.string, block["signature"]?.string == ScriptSignature.of(note), block.count == 3 else {
                throw .invalid("\(path): the block of an unknown type has been changed")
            }
            turn.unknownBlocks += 1
        case (.assistant, "redacted_thinking"), (.assistant, "server_tool_use"), (.assistant, "web_search_tool_result"),
            (.user, "image"), (.user, "document"), (.user, "search_result"), (.assistant, "compaction"), (.user, "compaction"):
            try checkSource(value, at: path)
            turn.tokens += type == "image" ? Tokens.image : Tokens.count(value)
        default:
            throw .invalid("\(path): Input tag '\(type)' found using 'type' does not match any of the expected tags of a \(turn.role) message")
        }
    }

    /// As at the real service, which fetches over TLS only.
    private func checkSource(_ block: JSON, at path: String) throws(ScriptedFault) {
        guard let url = block["source"]?["url"]?.string, !url.hasPrefix("https://") else { return }
        throw .invalid("\(path).image.source.url.url: Only HTTPS URLs are supported.")
    }

    private mutating func add(text: String) throws(ScriptedFault) {
        guard !text.isEmpty else { throw .invalid("messages: text content blocks must be non-empty") }
        guard text.utf8.contains(where: { $0 > 0x20 }) else {
            throw .invalid("messages: text content blocks must contain non-whitespace text")
        }
        turn.texts.append(text)
        turn.tokens += Tokens.count(text)
    }

    private mutating func addCall(_ block: JSONObject, at path: String) throws(ScriptedFault) {
        guard let id = block["id"]?.string else { throw .invalid("\(path).tool_use.id: Field required") }
        guard AnthropicTools.isIdentifier(id) else {
            throw .invalid("\(path).tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        }
        guard let name = block["name"]?.string, AnthropicTools.isToolName(name) else {
            throw .invalid("\(path).tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
        }
        guard let input = block["input"] else { throw .invalid("\(path).tool_use.input: Field required") }
        guard input.object != nil else { throw .invalid("\(path).tool_use.input: Input should be a valid dictionary") }
        turn.callIDs.append(id)
        turn.tokens += Tokens.count(name) + Tokens.count(input)
    }

    private mutating func addResult(_ block: JSONObject, at index: Int) throws(ScriptedFault) {
        let path = "messages.\(message).content.\(index)"
        guard turn.role == .user else { throw .invalid("messages.\(message): `tool_result` blocks can only be in `user` messages") }
        guard let id = block["tool_use_id"]?.string else { throw .invalid("\(path).tool_result.tool_use_id: Field required") }
        guard pendingCalls.contains(id) else {
            throw .invalid(
                "\(path): unexpected `tool_use_id` found in `tool_result` blocks: \(id). "
                    + "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.")
        }
        guard seenResults.insert(id).inserted else {
            throw .invalid("\(path): each tool_use must have a single result. Found multiple `tool_result` blocks with id: \(id)")
        }
        if let flag = block["is_error"], flag.bool == nil { throw .invalid("\(path).tool_result.is_error: Input should be a valid boolean") }
        let isError = block["is_error"]?.bool ?? false
        if isError, block["content"] == nil || block["content"] == .null || block["content"] == "" || block["content"] == [] {
            throw .invalid("\(path).tool_result: content cannot be empty if `is_error` is true")
        }
        let text = try resultText(block["content"], at: path)
        turn.results.append(.init(isError: isError, text: text.utf8.count > 4096 ? String(decoding: text.utf8.prefix(4096), as: UTF8.self) : text))
        // Results that follow other blocks do not count as answers, so they are reported as missing.
        if !resultsAreOver { answeredCalls.insert(id) }
    }

    /// The start of the first text of a result; counts the tokens of all.
    private mutating func resultText(_ content: JSON?, at path: String) throws(ScriptedFault) -> String {
        switch content {
        case nil, .null: return ""
        case .string(let text):
            turn.tokens += Tokens.count(text)
            return text
        case .array(let blocks):
            var first: String?
            for (index, block) in blocks.enumerated() {
                switch block["type"]?.string {
                case "text":
                    guard let text = block["text"]?.string else {
                        throw .invalid("\(path).tool_result.content.\(index).text.text: Field required")
                    }
                    guard !text.isEmpty else { throw .invalid("messages: text content blocks must be non-empty") }
                    first = first ?? text
                    turn.tokens += Tokens.count(text)
                case "image", "document", "search_result", "tool_reference":
                    try checkSource(block, at: "\(path).tool_result.content.\(index)")
                    turn.tokens += block["type"] == "image" ? Tokens.image : Tokens.count(block)
                default:
                    throw .invalid("\(path).tool_result.content.\(index): Input tag does not match any of the expected tags: 'text', 'image', …")
                }
            }
            return first ?? ""
        default: throw .invalid("\(path).tool_result.content: Input should be a valid string or list")
        }
    }
}
