/// Decides the answer to a request: a pure function of the conversation.
package enum ScriptInterpreter {
    /// - Parameter scripts: scripts read before; the answer is the same without.
    package static func plan(for conversation: Conversation, scripts: ScriptMemo? = nil) throws(ScriptedFault) -> ScriptedPlan {
        let start = conversation.scriptIndex
        let source = start.map { conversation.turns[$0].texts.joined(separator: "\n\n") } ?? ""
        let script = if let scripts { try scripts.script(source) } else { try Script(parsing: source) }
        // Indices instead of slices: a long history is looked at and not copied.
        let after = (start.map { $0 + 1 } ?? 0)..<conversation.turns.count
        var position = 0
        for index in after where conversation.turns[index].role == .assistant {
            if position < script.answers.count {
                try check(
                    thinking: conversation.turns[index].thinkingBlocks, unknown: conversation.turns[index].unknownBlocks,
                    against: script.answers[position], maximumTokens: conversation.maximumTokens)
            }
            position += 1
        }

        var identity = StableHash()
        identity.combine(source)
        identity.combine(conversation.turns.count)
        if let index = conversation.turns.lastIndex(where: { !$0.callIDs.isEmpty }), let id = conversation.turns[index].callIDs.last {
            identity.combine(id)
        }

        let isContinuation = conversation.turns.last?.role == .assistant
        if isContinuation, position == 0 || position > script.answers.count || !script.answers[position - 1].steps.contains(.pauseTurn) {
            throw .invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
        }
        var builder = PlanBuilder(identity: identity, conversation: conversation)
        if position < script.answers.count {
            builder.run(script.answers[position])
        }
        if position >= script.answers.count - 1 {
            builder.report(results: after.flatMap { conversation.turns[$0].results })
        }
        return builder.finished()
    }

    /// The thinking of an unfinished turn must come back, as the real service demands; a block's own signature has been checked by the reader.
    private static func check(
        thinking: Int, unknown: Int, against answer: Script.Answer, maximumTokens: Int
    ) throws(ScriptedFault) {
        let sent = PlanBuilder.signedBlocks(of: answer, maximumTokens: maximumTokens)
        guard sent.thinking <= thinking else {
            throw .invalid(
                "messages: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
                    + "These blocks must remain as they were in the original response. (\(sent.thinking) were sent, \(thinking) came back.)")
        }
        guard sent.unknown <= unknown else {
            throw .invalid("messages: a content block of an unknown type was sent and did not come back")
        }
    }
}
