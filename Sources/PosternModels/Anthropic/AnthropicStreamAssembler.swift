import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// Folds the events of a streamed answer of the Messages API into previews and, at the end, the whole answer. A value without I/O.
package struct AnthropicStreamAssembler: Sendable {
    /// More blocks than any answer has.
    private static let maximumBlocks = 10_000

    private var blocks: [StreamedBlock] = []
    private var hasStarted = false
    private var stopReason: String?
    private var stopDetails: JSON?
    private var usage = ModelUsage()
    /// `message_stop` has come: the answer is whole, whatever happens to the connection now.
    package private(set) var isComplete = false

    package init() {}

    /// Takes one event. An `error` event is thrown as what it says; what makes no sense is thrown as ``ModelError/Kind/unavailable``.
    package mutating func receive(_ event: ServerSentEvent) throws(ModelError) -> [ModelPreview] {
        guard !isComplete else { return [] }
        guard let data = try? JSON(parsing: event.data), let type = data["type"]?.string else {
            throw Self.senseless("an event that is no JSON object with a type")
        }
        switch type {
        case "message_start":
            guard !hasStarted, let message = data["message"]?.object else { throw Self.senseless("a second or empty message_start") }
            hasStarted = true
            note(usage: message["usage"])
            note(end: message)
        case "content_block_start": return try startBlock(data)
        case "content_block_delta":
            guard let delta = data["delta"]?.object else { throw Self.senseless("a delta without content") }
            let index = try openBlock(data)
            return blocks[index].add(delta).map { [.text(index: index, $0)] } ?? []
        case "content_block_stop": blocks[try openBlock(data)].stop()
        case "message_delta":
            guard hasStarted else { throw Self.senseless("a message_delta before the message") }
            note(usage: data["usage"])
            note(end: data["delta"]?.object ?? [:])
        case "message_stop":
            guard hasStarted, blocks.allSatisfy(\.isStopped) else { throw Self.senseless("a message_stop in the middle of the message") }
            guard stopReason != nil else { throw Self.senseless("a message without a stop reason") }
            isComplete = true
        case "error": throw ModelErrorAnswer(event: data).error
        default: break  // `ping`, and events that are not known yet.
        }
        return []
    }

    /// The whole answer.
    /// - Throws: ``ModelError/Kind/unavailable`` when the stream ended before ``isComplete``.
    package func response() throws(ModelError) -> ModelResponse {
        guard isComplete, let stopReason else {
            throw ModelError(.unavailable, "the model service broke off its answer before the end")
        }
        return ModelResponse(content: blocks.map(\.value), stopReason: stopReason, stopDetails: stopDetails, usage: usage)
    }

    private static func senseless(_ what: String) -> ModelError {
        ModelError(.unavailable, "the model service sent a stream that makes no sense: \(what)")
    }

    // MARK: Blocks

    private mutating func startBlock(_ data: JSON) throws(ModelError) -> [ModelPreview] {
        guard hasStarted else { throw Self.senseless("a block before the message") }
        guard let block = data["content_block"]?.object, block["type"]?.string != nil, data["index"]?.int == blocks.count else {
            throw Self.senseless("a block without a type or out of order")
        }
        guard blocks.count < Self.maximumBlocks else { throw Self.senseless("more than \(Self.maximumBlocks) blocks") }
        let started = StreamedBlock(start: block)
        blocks.append(started)
        var previews: [ModelPreview] = [.blockStarted(index: blocks.count - 1, type: started.type)]
        if started.type == "text", let text = block["text"]?.string, !text.isEmpty { previews.append(.text(index: blocks.count - 1, text)) }
        return previews
    }

    /// The index of the block that an event speaks of; it must be there and not be stopped.
    private func openBlock(_ data: JSON) throws(ModelError) -> Int {
        guard let index = data["index"]?.int, blocks.indices.contains(index), !blocks[index].isStopped else {
            throw Self.senseless("a delta for a block that is not open")
        }
        return index
    }

    // MARK: The end and the usage

    private mutating func note(end: JSONObject) {
        if let reason = end["stop_reason"]?.string { stopReason = reason }
        if let details = end["stop_details"], !details.isNull { stopDetails = details }
    }

    /// Counts are cumulative: the last one given holds.
    private mutating func note(usage value: JSON?) {
        guard let value else { return }
        if let count = value["input_tokens"]?.int { usage.input = count }
        if let count = value["output_tokens"]?.int { usage.output = count }
        if let count = value["cache_read_input_tokens"]?.int { usage.cacheRead = count }
        if let creation = value["cache_creation"]?.object {
            usage.cacheCreation1h = creation["ephemeral_1h_input_tokens"]?.int ?? 0
            usage.cacheCreation5m = creation["ephemeral_5m_input_tokens"]?.int ?? 0
        }
        // Without the split by lifetime, what exceeds the known hour's share was written for five minutes.
        if let total = value["cache_creation_input_tokens"]?.int { usage.cacheCreation5m = max(0, total - usage.cacheCreation1h) }
    }
}
