import PosternJSON

/// Turns the pieces of a streaming answer into `event_start` and `event_delta` frames (contract section 4.3, "Previews"), under the ids that the
/// finished events will have.
struct PreviewMapper: Sendable {
    struct Frame: Sendable, Equatable {
        /// The kind that a reader asks for: `agent.message` or `agent.thinking`.
        var kind: String
        var type: String
        var bytes: [UInt8]
    }

    /// Index of the first block of a run → the event's id.
    private(set) var ids: [Int: String] = [:]
    /// The message being previewed: a run of text blocks is one message.
    private var message: (id: String, firstBlock: Int, nextIndex: Int)?
    private var textBlocks: [Int: Int] = [:]
    private let makeID: @Sendable () -> String

    init(makeID: @escaping @Sendable () -> String) { self.makeID = makeID }

    mutating func handle(_ preview: ModelPreview) -> Frame? {
        switch preview {
        case .blockStarted(let block, "text"):
            if let current = message {
                textBlocks[block] = current.nextIndex
                message?.nextIndex += 1
                return nil
            }
            let id = makeID()
            ids[block] = id
            message = (id, block, 1)
            textBlocks[block] = 0
            return start("agent.message", id)
        case .blockStarted(let block, let type):
            message = nil
            guard type == "thinking" || type == "redacted_thinking" else { return nil }
            let id = makeID()
            ids[block] = id
            return start("agent.thinking", id)
        case .text(let block, let text):
            guard let message, let index = textBlocks[block], !text.isEmpty else { return nil }
            let delta: JSON = [
                "type": "event_delta", "event_id": .string(message.id),
                "delta": ["type": "content_delta", "index": JSON(index), "content": ["type": "text", "text": .string(text)]],
            ]
            return Frame(kind: "agent.message", type: "event_delta", bytes: delta.encoded)
        }
    }

    private func start(_ kind: String, _ id: String) -> Frame {
        let frame: JSON = ["type": "event_start", "event": ["type": .string(kind), "id": .string(id)]]
        return Frame(kind: kind, type: "event_start", bytes: frame.encoded)
    }
}
