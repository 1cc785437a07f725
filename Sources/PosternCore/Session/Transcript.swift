import PosternJSON

/// The conversation as the next model request needs it. Each message is encoded once, when it is appended.
///
/// Messages are kept joined in segments, so that what a turn copies grows with the number of segments and not with the number of messages.
struct Transcript: Sendable {
    /// Bytes after which a segment takes no more messages.
    private static let segmentSize = 64 << 10

    /// Messages but the last, joined with commas.
    private var segments: [[UInt8]] = []
    /// The last message, apart: a request puts its cache breakpoint there.
    private var last: Message?
    private(set) var count = 0
    /// Bytes of all messages; with the tokens of the last answer this tells how near the context limit is.
    private(set) var byteCount = 0

    private struct Message: Sendable, Equatable {
        var role: String
        var content: [JSON]
        var encoded: [UInt8]

        init(_ role: String, _ content: [JSON]) {
            self.role = role
            self.content = content
            encoded = JSON.object(["role": .string(role), "content": .array(content)]).encoded
        }
    }

    mutating func append(role: String, _ content: [JSON]) {
        guard !content.isEmpty else { return }
        if let last { seal(last) }
        let message = Message(role, content)
        last = message
        count += 1
        byteCount += message.encoded.count
    }

    private mutating func seal(_ message: Message) {
        if let end = segments.indices.last, segments[end].count < Self.segmentSize {
            segments[end].append(UInt8(ascii: ","))
            segments[end] += message.encoded
        } else {
            segments.append(message.encoded)
        }
    }

    /// Forgets everything but `summary`, told as the user's first message.
    mutating func replace(withSummary summary: String) {
        self = Transcript()
        append(role: "user", [["type": "text", "text": .string(summary)]])
    }

    /// The messages of a request, in segments.
    var messages: [[UInt8]] { segments + (last.map { [$0.encoded] } ?? []) }

    /// The same with a cache breakpoint in the last message, so that the next request finds this one's prefix cached.
    func messagesWithBreakpoint() -> [[UInt8]] {
        guard let last, case .object(var block)? = last.content.last else { return messages }
        block["cache_control"] = ["type": "ephemeral"]
        return segments + [Message(last.role, last.content.dropLast() + [.object(block)]).encoded]
    }
}

extension Transcript: Equatable {
    static func == (left: Transcript, right: Transcript) -> Bool { left.segments == right.segments && left.last == right.last }
}
