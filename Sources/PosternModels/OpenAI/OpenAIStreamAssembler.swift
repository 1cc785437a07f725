import ManagedAgentsAPI
import PosternCore
import PosternJSON

/// Folds the chunks of a streamed Chat Completion into previews and, at the end, an answer in the neutral form. A value without I/O.
package struct OpenAIStreamAssembler: Sendable {
    private struct Call {
        var id: String
        var name: String
        var arguments: [UInt8] = []
    }

    private static let maximumCalls = 1_000

    private var text: [UInt8] = []
    /// The place of the text among the blocks: behind the calls that began before it. There is one text, however it is interrupted.
    private var placeOfText: Int?
    private var calls: [Call] = []
    /// Place in `calls` by the service's own index, which may have gaps.
    private var placeOfCall: [Int: Int] = [:]
    private var finishReason: String?
    private var usage = ModelUsage()
    private var isDone = false

    package init() {}

    /// The answer is whole. Some servers leave `[DONE]` out, none the finish reason.
    package var isComplete: Bool { finishReason != nil }

    package mutating func receive(_ event: ServerSentEvent) throws(ModelError) -> [ModelPreview] {
        guard !isDone else { return [] }
        if event.data.elementsEqual("[DONE]".utf8) {
            isDone = true
            return []
        }
        guard let data = try? JSON(parsing: event.data), data.object != nil else {
            throw ModelError(.unavailable, "the model service sent a stream that makes no sense: an event that is no JSON object")
        }
        if let error = data["error"], !error.isNull { throw ModelErrorAnswer(event: data).error }
        note(usage: data["usage"])
        guard let choice = data["choices"]?.array?.first else { return [] }
        var previews: [ModelPreview] = []
        if let piece = choice["delta"]?["content"]?.string, !piece.isEmpty {
            if placeOfText == nil { previews.append(.blockStarted(index: calls.count, type: "text")) }
            let place = placeOfText ?? calls.count
            placeOfText = place
            text.append(contentsOf: piece.utf8)
            previews.append(.text(index: place, piece))
        }
        for call in choice["delta"]?["tool_calls"]?.array ?? [] { previews += try add(call) }
        if let reason = choice["finish_reason"]?.string { finishReason = reason }
        return previews
    }

    package func response() throws(ModelError) -> ModelResponse {
        guard let finishReason else { throw ModelError(.unavailable, "the model service broke off its answer before the end") }
        var content: [JSON] = []
        for call in calls {
            let parsed = try? JSON(parsing: call.arguments)
            content.append(
                .object([
                    "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
                    "input": parsed?.object == nil ? .object([:]) : parsed ?? .object([:]),
                ]))
        }
        if let placeOfText {
            content.insert(["type": "text", "text": .string(String(decoding: text, as: UTF8.self))], at: placeOfText)
        }
        var details: JSON?
        if finishReason == "content_filter" { details = ["type": "refusal", "category": .null, "explanation": .null] }
        return ModelResponse(content: content, stopReason: stopReason(finishReason), stopDetails: details, usage: usage)
    }

    private func stopReason(_ finishReason: String) -> String {
        switch finishReason {
        // Some servers say `stop` although they call a tool.
        case "tool_calls", "function_call", "stop": calls.isEmpty ? "end_turn" : "tool_use"
        case "length": "max_tokens"
        case "content_filter": "refusal"
        default: finishReason
        }
    }

    private mutating func add(_ delta: JSON) throws(ModelError) -> [ModelPreview] {
        let index = delta["index"]?.int ?? 0
        let name = delta["function"]?["name"]?.string ?? ""
        let arguments = delta["function"]?["arguments"]?.string ?? ""
        if let place = placeOfCall[index] {
            calls[place].name += name
            calls[place].arguments.append(contentsOf: arguments.utf8)
            return []
        }
        guard calls.count < Self.maximumCalls else {
            throw ModelError(.unavailable, "the model service sent more than \(Self.maximumCalls) tool calls")
        }
        placeOfCall[index] = calls.count
        // A server that gives no id gets one that is unique in this answer's place of the conversation.
        let id = delta["id"]?.string ?? ""
        calls.append(Call(id: id.isEmpty ? "call_\(UInt64.random(in: .min ... .max))" : id, name: name, arguments: Array(arguments.utf8)))
        return [.blockStarted(index: (placeOfText == nil ? 0 : 1) + calls.count - 1, type: "tool_use")]
    }

    private mutating func note(usage value: JSON?) {
        guard let value, !value.isNull else { return }
        let cached = value["prompt_tokens_details"]?["cached_tokens"]?.int ?? 0
        if let prompt = value["prompt_tokens"]?.int {
            usage.input = max(0, prompt - cached)
            usage.cacheRead = cached
        }
        if let completion = value["completion_tokens"]?.int { usage.output = completion }
    }
}
