import PosternJSON

/// The conversation as the next model request needs it. Each message is encoded once, when it is appended.
///
/// Messages that the model has answered are kept joined in segments, so that what a turn copies grows with the number of segments and not with the
/// number of messages.
struct Transcript: Sendable {
    /// Bytes after which a segment takes no more messages.
    private static let segmentSize = 64 << 10

    /// Messages before the last answer, joined with commas.
    private var segments: [[UInt8]] = []
    /// The last answer and what has come since, apart: a request puts its cache breakpoint there.
    private var open: [Message] = []
    private(set) var count = 0
    /// About what all messages cost; see ``TokenEstimate``.
    private(set) var tokens = 0
    /// Nothing has come since the conversation was replaced by a summary.
    private(set) var isSummary = false

    private struct Message: Sendable, Equatable {
        var role: String
        var content: [JSON]
        var encoded: [UInt8]
        /// Words of ours are in the place of all that it held.
        var isWithheld = false

        init(_ role: String, _ content: [JSON]) {
            self.role = role
            self.content = content
            encoded = JSON.object(["role": .string(role), "content": .array(content)]).encoded
        }
    }

    mutating func append(role: String, _ content: [JSON]) {
        guard !content.isEmpty else { return }
        if role == "assistant" {
            for message in open { seal(message) }
            open = []
        }
        open.append(Message(role, content))
        count += 1
        tokens += TokenEstimate.content(content)
        isSummary = false
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
        isSummary = true
    }

    /// Whether the model is owed results of calls, and not only an answer.
    var endsInResults: Bool { open.contains { $0.role == "user" && $0.content.contains { $0["type"] == "tool_result" } } }

    /// The same, with words in the place of what has come since the last answer: the service refused it. First of all in the place of images and the
    /// like; if there are none, of everything.
    /// - Returns: nil when nothing is left to be replaced.
    func withholding(_ reason: String) -> Transcript? {
        let holdsMedia = open.contains { $0.role != "assistant" && $0.content.contains(where: SentContent.isMedia) }
        var changed = self
        for (index, message) in open.enumerated() where message.role != "assistant" && !message.isWithheld {
            let content = holdsMedia ? SentContent.withoutMedia(message.content, reason) : SentContent.withheld(message.content, reason)
            // Not even the role is kept: it may be what was refused.
            changed.open[index] = Message(holdsMedia ? message.role : "user", content)
            changed.open[index].isWithheld = !holdsMedia
            changed.tokens += TokenEstimate.content(content) - TokenEstimate.content(message.content)
        }
        return changed == self ? nil : changed
    }

    /// The messages of a request, in segments.
    var messages: [[UInt8]] { segments + open.map(\.encoded) }

    /// The same with a cache breakpoint in the last message, so that the next request finds this one's prefix cached.
    func messagesWithBreakpoint() -> [[UInt8]] {
        guard let last = open.last, case .object(var block)? = last.content.last else { return messages }
        block["cache_control"] = ["type": "ephemeral"]
        return segments + open.dropLast().map(\.encoded) + [Message(last.role, last.content.dropLast() + [.object(block)]).encoded]
    }

    /// Every message, read again: for what has to look into the whole history.
    var decoded: [JSON] {
        let text = [UInt8(ascii: "[")] + messages.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]
        // Written here a moment ago.
        return (try? JSON(parsing: text).array) ?? []
    }
}

extension Transcript: Equatable {
    static func == (left: Transcript, right: Transcript) -> Bool { left.segments == right.segments && left.open == right.open }
}
