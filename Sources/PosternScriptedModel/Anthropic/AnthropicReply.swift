import PosternJSON

/// Writes a plan as the Messages API does: as one message, or as the events of its stream.
package enum AnthropicReply {
    /// The block type that no client knows.
    static let unknownType = "scripted_unknown"

    /// The answer to a request without `stream`.
    package static func message(_ plan: ScriptedPlan) -> [UInt8] {
        var stopReason = "end_turn"
        if case .stop(let reason) = plan.ending { stopReason = reason }
        return envelope(plan, content: plan.blocks.map(value), stopReason: stopReason, outputTokens: plan.usage.output).encoded
    }

    /// `{"type":"error",…}`, as a body or as the data of an `error` event.
    package static func error(type: String, message: String, requestID: String) -> [UInt8] {
        JSON.object([
            "type": "error", "error": .object(["type": .string(type), "message": .string(message)]), "request_id": .string(requestID),
        ]).encoded
    }

    static func start(_ plan: ScriptedPlan, into output: inout [UInt8]) {
        let message = envelope(plan, content: [], stopReason: nil, outputTokens: 1)
        event("message_start", ["type": "message_start", "message": message], into: &output)
    }

    static func ping(into output: inout [UInt8]) { event("ping", ["type": "ping"], into: &output) }

    /// The start, the deltas and the stop of one block.
    static func block(_ block: ScriptedPlan.Block, index: Int, into output: inout [UInt8]) {
        event(
            "content_block_start",
            ["type": "content_block_start", "index": JSON(index), "content_block": emptyValue(block)], into: &output)
        switch block {
        case .text(let text): deltas("text_delta", "text", text, index: index, into: &output)
        case .thinking(let text, let signature):
            deltas("thinking_delta", "thinking", text, index: index, into: &output)
            delta("signature_delta", "signature", signature.utf8[...], index: index, into: &output)
        case .call(_, _, let input, let isCut):
            // The service opens every input with an empty piece, and sends no more of an empty one.
            delta("input_json_delta", "partial_json", "".utf8[...], index: index, into: &output)
            if input != "{}" || isCut { deltas("input_json_delta", "partial_json", input, index: index, into: &output) }
        case .unknown: break
        }
        event("content_block_stop", ["type": "content_block_stop", "index": JSON(index)], into: &output)
    }

    static func end(_ plan: ScriptedPlan, stopReason: String, into output: inout [UInt8]) {
        event(
            "message_delta",
            [
                "type": "message_delta",
                "delta": .object(["stop_reason": .string(stopReason), "stop_sequence": .null, "stop_details": stopDetails(stopReason)]),
                "usage": .object([
                    "input_tokens": JSON(plan.usage.input),
                    "cache_creation_input_tokens": JSON(plan.usage.cacheCreation5m + plan.usage.cacheCreation1h),
                    "cache_read_input_tokens": JSON(plan.usage.cacheRead), "output_tokens": JSON(plan.usage.output),
                ]),
            ], into: &output)
        event("message_stop", ["type": "message_stop"], into: &output)
    }

    static func event(_ name: String, _ data: JSONObject, into output: inout [UInt8]) {
        output.append(contentsOf: "event: ".utf8)
        output.append(contentsOf: name.utf8)
        output.append(contentsOf: "\ndata: ".utf8)
        JSON.object(data).write(to: &output)
        output.append(contentsOf: "\n\n".utf8)
    }

    // MARK: Deltas

    /// Bytes of one delta: about sixteen tokens.
    private static let pieceSize = 64

    private static func deltas(_ type: String, _ key: String, _ text: String, index: Int, into output: inout [UInt8]) {
        var rest = text.utf8[...]
        while !rest.isEmpty {
            var end = rest.index(rest.startIndex, offsetBy: pieceSize, limitedBy: rest.endIndex) ?? rest.endIndex
            // A piece is text: it never ends inside a character's bytes.
            while end < rest.endIndex, rest[end] & 0b1100_0000 == 0b1000_0000 { rest.formIndex(after: &end) }
            delta(type, key, rest[..<end], index: index, into: &output)
            rest = rest[end...]
        }
    }

    /// Written by hand: long answers consist of little else.
    private static func delta(_ type: String, _ key: String, _ piece: Substring.UTF8View, index: Int, into output: inout [UInt8]) {
        output.append(contentsOf: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":".utf8)
        output.append(contentsOf: String(index).utf8)
        output.append(contentsOf: ",\"delta\":{\"type\":\"".utf8)
        output.append(contentsOf: type.utf8)
        output.append(contentsOf: "\",\"".utf8)
        output.append(contentsOf: key.utf8)
        output.append(contentsOf: "\":".utf8)
        JSON.write(string: String(Substring(piece)), to: &output)
        output.append(contentsOf: "}}\n\n".utf8)
    }

    // MARK: Values

    private static func envelope(_ plan: ScriptedPlan, content: [JSON], stopReason: String?, outputTokens: Int) -> JSON {
        let usage = plan.usage
        return .object([
            "id": .string(plan.messageID), "type": "message", "role": "assistant", "model": .string(plan.model), "content": .array(content),
            "stop_reason": JSON(stopReason), "stop_sequence": .null, "stop_details": stopDetails(stopReason),
            "usage": .object([
                "input_tokens": JSON(usage.input),
                "cache_creation_input_tokens": JSON(usage.cacheCreation5m + usage.cacheCreation1h),
                "cache_read_input_tokens": JSON(usage.cacheRead),
                "cache_creation": .object([
                    "ephemeral_5m_input_tokens": JSON(usage.cacheCreation5m), "ephemeral_1h_input_tokens": JSON(usage.cacheCreation1h),
                ]),
                "output_tokens": JSON(outputTokens), "service_tier": "standard",
            ]),
        ])
    }

    private static func stopDetails(_ stopReason: String?) -> JSON {
        guard stopReason == "refusal" else { return .null }
        return .object(["type": "refusal", "category": "general_harms", "explanation": "The script asks for a refusal."])
    }

    private static func value(_ block: ScriptedPlan.Block) -> JSON {
        switch block {
        case .text(let text): .object(["type": "text", "text": .string(text)])
        case .thinking(let text, let signature):
            .object(["type": "thinking", "thinking": .string(text), "signature": .string(signature)])
        case .call(let id, let tool, let input, _):
            .object([
                "type": "tool_use", "id": .string(id), "name": .string(tool),
                "input": (try? JSON(parsing: input)).flatMap { $0.object == nil ? nil : $0 } ?? .object([:]),
            ])
        case .unknown(let note, let signature):
            .object(["type": .string(unknownType), "note": .string(note), "signature": .string(signature)])
        }
    }

    /// What `content_block_start` shows: the block before its deltas.
    private static func emptyValue(_ block: ScriptedPlan.Block) -> JSON {
        switch block {
        case .text: .object(["type": "text", "text": ""])
        case .thinking: .object(["type": "thinking", "thinking": "", "signature": ""])
        case .call(let id, let tool, _, _): .object(["type": "tool_use", "id": .string(id), "name": .string(tool), "input": .object([:])])
        case .unknown: value(block)
        }
    }
}
