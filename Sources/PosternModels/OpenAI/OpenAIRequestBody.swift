import PosternCore
import PosternJSON

/// The body of a streamed Chat Completion, converted from the neutral form. The whole history is read and written anew each time: this
/// service has another shape, and a conversation with it is not the path that is measured.
package enum OpenAIRequestBody {
    /// - Throws: ``ModelError/Kind/requestFailed`` when a message is not of the Messages API's form.
    package static func make(_ request: ModelRequest, limitKey: String) throws(ModelError) -> [UInt8] {
        var messages: [JSON] = []
        let system = request.system.compactMap { $0["text"]?.string }.joined(separator: "\n\n")
        if !system.isEmpty { messages.append(["role": "system", "content": .string(system)]) }
        for message in try history(request) {
            guard let role = message["role"]?.string, let content = message["content"] else {
                throw ModelError(.requestFailed, "a message of the history has no role or no content")
            }
            let blocks: [JSON] = content.string.map { [["type": "text", "text": .string($0)]] } ?? content.array ?? []
            switch role {
            case "assistant": if let message = assistant(blocks) { messages.append(message) }
            case "system": messages.append(["role": "system", "content": .string(OpenAIContent.text(of: blocks))])
            default: messages += user(blocks)
            }
        }
        var body: JSONObject = [
            "model": .string(request.model), "stream": true,
            "stream_options": ["include_usage": true], "messages": .array(messages),
        ]
        // Without one the service takes what its context has left, which no client can know as well.
        if let tokens = request.maximumTokens { body[limitKey] = JSON(tokens) }
        if !request.tools.isEmpty { body["tools"] = .array(request.tools.map(tool)) }
        return JSON.object(body).encoded
    }

    /// Each element of `messages` holds one or more, joined with commas.
    private static func history(_ request: ModelRequest) throws(ModelError) -> [JSON] {
        let text = [UInt8(ascii: "[")] + request.messages.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]
        do {
            return try JSON(parsing: text).array ?? []
        } catch {
            throw ModelError(.requestFailed, "the history cannot be read: \(error)")
        }
    }

    private static func tool(_ tool: JSON) -> JSON {
        .object([
            "type": "function",
            "function": .object([
                "name": tool["name"] ?? "", "description": tool["description"] ?? "",
                "parameters": tool["input_schema"] ?? ["type": "object", "properties": [:]],
            ]),
        ])
    }

    /// Thinking and unknown blocks have no place in the other API and are left out.
    private static func assistant(_ blocks: [JSON]) -> JSON? {
        var calls: [JSON] = []
        for block in blocks where block["type"] == "tool_use" {
            calls.append(
                .object([
                    "id": block["id"] ?? "", "type": "function",
                    "function": .object([
                        "name": block["name"] ?? "", "arguments": .string((block["input"] ?? .object([:])).text),
                    ]),
                ]))
        }
        let text = OpenAIContent.text(of: blocks)
        guard !text.isEmpty || !calls.isEmpty else { return nil }
        var message: JSONObject = ["role": "assistant", "content": text.isEmpty ? .null : .string(text)]
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        return .object(message)
    }

    /// The results come first, each as a message of its own; images in them follow in a user message, since a tool message is text.
    private static func user(_ blocks: [JSON]) -> [JSON] {
        var messages: [JSON] = []
        var parts: [JSON] = []
        for block in blocks {
            guard block["type"] == "tool_result" else {
                if let part = OpenAIContent.part(block) { parts.append(part) }
                continue
            }
            let content: [JSON] = block["content"]?.string.map { [["type": "text", "text": .string($0)]] } ?? block["content"]?.array ?? []
            var text = OpenAIContent.text(of: content)
            if block["is_error"] == true { text = OpenAIContent.errorPrefix + text }
            messages.append(.object(["role": "tool", "tool_call_id": block["tool_use_id"] ?? "", "content": .string(text)]))
            parts += content.filter { $0["type"] != "text" }.compactMap(OpenAIContent.part)
        }
        if parts.count == 1, let text = parts[0]["text"] {
            messages.append(.object(["role": "user", "content": text]))
        } else if !parts.isEmpty {
            messages.append(.object(["role": "user", "content": .array(parts)]))
        }
        return messages
    }
}
