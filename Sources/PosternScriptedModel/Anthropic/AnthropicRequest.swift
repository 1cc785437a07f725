import PosternJSON

/// Reads and checks a request of the Messages API as the real service does: it is the test of the requests that Postern sends.
package enum AnthropicRequest {
    /// Top-level fields of `POST /v1/messages` in API version 2023-06-01, betas included.
    private static let fields: Set<String> = [
        "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "temperature", "top_p", "top_k", "stop_sequences",
        "metadata", "service_tier", "thinking", "output_config", "speed", "container", "context_management", "mcp_servers", "inference_geo",
        "cache_control", "diagnostics", "compaction", "fallbacks", "user_profile_id", "workspace_id",
    ]

    /// - Parameters:
    ///   - countsOnly: the request is for `count_tokens`, which has no `max_tokens` and no `stream`.
    ///   - memo: what was read of longer and longer requests before; the answer is the same without it.
    package static func read(_ body: [UInt8], countsOnly: Bool = false, memo: PrefixMemo? = nil) throws(ScriptedFault) -> Conversation {
        let query = countsOnly || memo == nil ? nil : PrefixMemo.Query(body)
        if let memo, let query, let hit = memo.find(query) { return try hit.finish(query, memo: memo) }
        let value: JSON
        do {
            value = try JSON(parsing: body)
        } catch {
            throw .invalid("The request body is not valid JSON: \(error)")
        }
        guard case .object(let request) = value else { throw .invalid("The request body is not a JSON object") }
        var reading = try head(request, countsOnly: countsOnly)
        guard let messages = request["messages"] else { throw .invalid("messages: Field required") }
        guard case .array(let list) = messages else { throw .invalid("messages: Input should be a valid list") }
        guard let memo, let query, list.count > PrefixMemo.openMessages else {
            try reading.read(list[...])
            return try reading.finished()
        }
        let settled = list.count - PrefixMemo.openMessages
        try reading.read(list[..<settled])
        var scanner = MessageScanner(body)
        if let end = scanner.end(ofMessages: settled) { memo.remember(reading, of: query, end: end, replacing: nil) }
        try reading.read(list[settled...])
        return try reading.finished()
    }

    /// Everything but the messages.
    private static func head(_ request: JSONObject, countsOnly: Bool) throws(ScriptedFault) -> AnthropicReading {
        for key in request.keys where !fields.contains(key) { throw .invalid("\(key): Extra inputs are not permitted") }
        let model = try string(request, "model")
        guard model != ScriptedModel.missingModel else { throw ScriptedFault(status: 404, message: "model: \(model)") }
        let maximum = countsOnly ? Int.max : try maximumTokens(request)
        var conversation = Conversation(model: model, maximumTokens: maximum, streams: try flag(request, "stream"))
        var cache = CacheBreakpoints()
        try readSettings(request, maximumTokens: maximum)
        try AnthropicTools.read(request["tools"], into: &conversation, cache: &cache)
        try readSystem(request["system"], into: &conversation, cache: &cache)
        conversation.prefixIsCached = cache.count > 0
        return AnthropicReading(conversation: conversation, cache: cache, cachesLast: request["cache_control"]?.object != nil)
    }

    private static func string(_ request: JSONObject, _ key: String) throws(ScriptedFault) -> String {
        guard let value = request[key] else { throw .invalid("\(key): Field required") }
        guard let string = value.string else { throw .invalid("\(key): Input should be a valid string") }
        guard !string.isEmpty else { throw .invalid("\(key): String should have at least 1 character") }
        return string
    }

    private static func flag(_ request: JSONObject, _ key: String) throws(ScriptedFault) -> Bool {
        guard let value = request[key] else { return false }
        guard let flag = value.bool else { throw .invalid("\(key): Input should be a valid boolean") }
        return flag
    }

    private static func maximumTokens(_ request: JSONObject) throws(ScriptedFault) -> Int {
        guard let value = request["max_tokens"] else { throw .invalid("max_tokens: Field required") }
        guard let number = value.int else { throw .invalid("max_tokens: Input should be a valid integer") }
        guard number >= 1 else { throw .invalid("max_tokens: Input should be greater than or equal to 1") }
        return number
    }

    private static func readSettings(_ request: JSONObject, maximumTokens: Int) throws(ScriptedFault) {
        if let thinking = request["thinking"] {
            switch thinking["type"]?.string {
            case "adaptive", "disabled", "between_tools": break
            case "enabled":
                guard let budget = thinking["budget_tokens"]?.int else { throw .invalid("thinking.enabled.budget_tokens: Field required") }
                guard budget >= 1024 else {
                    throw .invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
                }
                guard budget < maximumTokens else { throw .invalid("`max_tokens` must be greater than `thinking.budget_tokens`") }
            default: throw .invalid("thinking: Input tag should be 'adaptive', 'disabled' or 'enabled'")
            }
        }
        if let effort = request["output_config"]?["effort"], !effort.isNull {
            guard ["low", "medium", "high", "xhigh", "max"].contains(effort.string) else {
                throw .invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
            }
        }
        if let geo = request["inference_geo"], geo != "us", geo != "global" { throw .invalid("inference_geo: Input should be 'us' or 'global'") }
        if let speed = request["speed"], !speed.isNull, speed != "standard", speed != "fast" {
            throw .invalid("speed: Input should be 'standard' or 'fast'")
        }
    }

    private static func readSystem(
        _ system: JSON?, into conversation: inout Conversation, cache: inout CacheBreakpoints
    ) throws(ScriptedFault) {
        guard let system else { return }
        switch system {
        case .string(let text): conversation.prefixTokens += Tokens.count(text)
        case .array(let blocks):
            for (index, block) in blocks.enumerated() {
                guard block["type"] == "text", let text = block["text"]?.string else {
                    throw .invalid("system.\(index): Input should be a text block")
                }
                guard !text.isEmpty else { throw .invalid("system: text content blocks must be non-empty") }
                try cache.note(block["cache_control"], at: "system.\(index)")
                conversation.prefixTokens += Tokens.count(text)
            }
        default: throw .invalid("system: Input should be a valid string or list")
        }
    }
}
