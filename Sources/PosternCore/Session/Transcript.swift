import PosternJSON

/// The conversation as the next model request needs it. Each message is encoded once, when it is appended.
struct Transcript: Sendable, Equatable {
    private(set) var messages: [[UInt8]] = []
    /// The last message's parts, kept so that a request can put its cache breakpoint there without reading the message again.
    private var last: (role: String, content: [JSON])?
    /// Bytes of all messages; with the tokens of the last answer this tells how near the context limit is.
    private(set) var byteCount = 0

    static func == (left: Transcript, right: Transcript) -> Bool { left.messages == right.messages }

    mutating func append(role: String, _ content: [JSON]) {
        guard !content.isEmpty else { return }
        let bytes = Self.encode(role, content)
        messages.append(bytes)
        byteCount += bytes.count
        last = (role, content)
    }

    /// Forgets everything but `summary`, told as the user's first message.
    mutating func replace(withSummary summary: String) {
        messages = []
        byteCount = 0
        append(role: "user", [["type": "text", "text": .string(summary)]])
    }

    /// The messages of a request, the last one with a cache breakpoint, so that the next request finds this one's prefix cached.
    func messagesWithBreakpoint() -> [[UInt8]] {
        guard let (role, content) = last, case .object(var block)? = content.last else { return messages }
        block["cache_control"] = ["type": "ephemeral"]
        var marked = messages
        marked[marked.count - 1] = Self.encode(role, content.dropLast() + [.object(block)])
        return marked
    }

    private static func encode(_ role: String, _ content: [JSON]) -> [UInt8] {
        JSON.object(["role": .string(role), "content": .array(content)]).encoded
    }
}
