/// A plan in the form of a stream: pieces that are written one after another. One block is held at a time.
protocol ReplyStream: Sendable {
    func start(_ plan: ScriptedPlan, into output: inout [UInt8])
    func block(_ block: ScriptedPlan.Block, index: Int, into output: inout [UInt8])
    func end(_ plan: ScriptedPlan, stopReason: String, into output: inout [UInt8])
    func error(type: String, message: String, requestID: String, into output: inout [UInt8])
}

struct AnthropicReplyStream: ReplyStream {
    func start(_ plan: ScriptedPlan, into output: inout [UInt8]) {
        AnthropicReply.start(plan, into: &output)
        AnthropicReply.ping(into: &output)
    }

    func block(_ block: ScriptedPlan.Block, index: Int, into output: inout [UInt8]) {
        AnthropicReply.block(block, index: index, into: &output)
    }

    func end(_ plan: ScriptedPlan, stopReason: String, into output: inout [UInt8]) {
        AnthropicReply.end(plan, stopReason: stopReason, into: &output)
    }

    func error(type: String, message: String, requestID: String, into output: inout [UInt8]) {
        output.append(contentsOf: "event: error\ndata: ".utf8)
        output.append(contentsOf: AnthropicReply.error(type: type, message: message, requestID: requestID))
        output.append(contentsOf: "\n\n".utf8)
    }
}
