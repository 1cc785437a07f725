import PosternJSON

/// Writes a plan as the chunks of a streamed Chat Completion.
struct OpenAIReplyStream: ReplyStream {
    let includesUsage: Bool

    func start(_ plan: ScriptedPlan, into output: inout [UInt8]) {
        chunk(plan.model, delta: ["role": "assistant", "content": ""], into: &output)
    }

    func block(_ block: ScriptedPlan.Block, index: Int, into output: inout [UInt8]) {
        switch block {
        case .text(let text): pieces(text) { chunk("", delta: ["content": .string($0)], into: &output) }
        case .thinking(let text, _): pieces(text) { chunk("", delta: ["reasoning_content": .string($0)], into: &output) }
        case .call(let id, let tool, let input, _):
            var opening = OpenAIReply.call(id: id, tool: tool, arguments: "").object ?? [:]
            // Blocks of other kinds leave gaps in these indices, which readers must stand.
            opening["index"] = JSON(index)
            chunk("", delta: ["tool_calls": .array([.object(opening)])], into: &output)
            pieces(input) {
                let piece: JSONObject = ["index": JSON(index), "function": .object(["arguments": .string($0)])]
                chunk("", delta: ["tool_calls": .array([.object(piece)])], into: &output)
            }
        case .unknown: break
        }
    }

    func end(_ plan: ScriptedPlan, stopReason: String, into output: inout [UInt8]) {
        chunk(plan.model, delta: [:], finishReason: OpenAIReply.finishReason(stopReason), into: &output)
        if includesUsage {
            event(
                [
                    "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": .string(plan.model),
                    "choices": [], "usage": OpenAIReply.usage(plan),
                ], into: &output)
        }
        output.append(contentsOf: "data: [DONE]\n\n".utf8)
    }

    func error(type: String, message: String, requestID: String, into output: inout [UInt8]) {
        event(["error": .object(["message": .string(message), "type": .string(type), "param": .null, "code": .null])], into: &output)
    }

    private func chunk(_ model: String, delta: JSONObject, finishReason: String? = nil, into output: inout [UInt8]) {
        event(
            [
                "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_767_225_600,
                "model": .string(model.isEmpty ? "scripted" : model),
                "choices": .array([
                    .object(["index": 0, "delta": .object(delta), "logprobs": .null, "finish_reason": JSON(finishReason)])
                ]),
            ], into: &output)
    }

    private func event(_ data: JSONObject, into output: inout [UInt8]) {
        output.append(contentsOf: "data: ".utf8)
        JSON.object(data).write(to: &output)
        output.append(contentsOf: "\n\n".utf8)
    }

    /// Pieces of about sixteen tokens, each whole characters.
    private func pieces(_ text: String, _ body: (String) -> Void) {
        var rest = text[...]
        while !rest.isEmpty {
            body(String(rest.prefix(64)))
            rest = rest.dropFirst(64)
        }
    }
}
