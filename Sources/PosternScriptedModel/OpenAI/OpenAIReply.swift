import PosternJSON

/// Writes a plan as one Chat Completion. Thinking goes to `reasoning_content`, as compatible servers do; unknown blocks have no place there.
package enum OpenAIReply {
    package static func completion(_ plan: ScriptedPlan) -> [UInt8] {
        var text = ""
        var reasoning = ""
        var calls: [JSON] = []
        for block in plan.blocks {
            switch block {
            case .text(let piece): text += piece
            case .thinking(let piece, _): reasoning += piece
            case .call(let id, let tool, let input, _): calls.append(call(id: id, tool: tool, arguments: input))
            case .unknown: break
            }
        }
        var message: JSONObject = ["role": "assistant", "content": text.isEmpty && !calls.isEmpty ? .null : .string(text)]
        if !reasoning.isEmpty { message["reasoning_content"] = .string(reasoning) }
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        var stopReason = "end_turn"
        if case .stop(let reason) = plan.ending { stopReason = reason }
        return JSON.object([
            "id": .string("chatcmpl-" + plan.messageID), "object": "chat.completion", "created": 1_767_225_600, "model": .string(plan.model),
            "choices": .array([
                .object(["index": 0, "message": .object(message), "logprobs": .null, "finish_reason": .string(finishReason(stopReason))])
            ]),
            "usage": usage(plan),
        ]).encoded
    }

    static func error(_ fault: ScriptedFault) -> [UInt8] {
        JSON.object([
            "error": .object([
                "message": .string(fault.message), "type": .string(fault.type), "param": .null,
                "code": fault.message.contains("maximum context length") ? "context_length_exceeded" : .null,
            ])
        ]).encoded
    }

    static func call(id: String, tool: String, arguments: String) -> JSON {
        .object([
            "id": .string(id), "type": "function", "function": .object(["name": .string(tool), "arguments": .string(arguments)]),
        ])
    }

    static func finishReason(_ stopReason: String) -> String {
        switch stopReason {
        case "tool_use": "tool_calls"
        case "max_tokens": "length"
        case "refusal": "content_filter"
        default: "stop"
        }
    }

    static func usage(_ plan: ScriptedPlan) -> JSON {
        let input = plan.usage.input + plan.usage.cacheRead + plan.usage.cacheCreation5m + plan.usage.cacheCreation1h
        return .object([
            "prompt_tokens": JSON(input), "completion_tokens": JSON(plan.usage.output), "total_tokens": JSON(input + plan.usage.output),
            "prompt_tokens_details": .object(["cached_tokens": JSON(plan.usage.cacheRead)]),
        ])
    }
}
