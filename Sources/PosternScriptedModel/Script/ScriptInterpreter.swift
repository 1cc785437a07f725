/// Decides the answer to a request: a pure function of the conversation.
package enum ScriptInterpreter {
    package static func plan(for conversation: Conversation) throws(ScriptedFault) -> ScriptedPlan {
        let start = conversation.scriptIndex
        let source = start.map { conversation.turns[$0].texts.joined(separator: "\n\n") } ?? ""
        let script = try Script(parsing: source)
        let after = start.map { conversation.turns[($0 + 1)...] } ?? conversation.turns[...]
        let answered = after.filter { $0.role == .assistant }
        try checkReturnedBlocks(of: answered, script: script, maximumTokens: conversation.maximumTokens)

        var identity = StableHash()
        identity.combine(source)
        identity.combine(conversation.turns.count)
        for turn in conversation.turns.reversed() {
            guard let id = turn.callIDs.last else { continue }
            identity.combine(id)
            break
        }

        let position = answered.count
        let isContinuation = conversation.turns.last?.role == .assistant
        if isContinuation, position == 0 || position > script.answers.count || !script.answers[position - 1].steps.contains(.pauseTurn) {
            throw .invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
        }
        var builder = PlanBuilder(identity: identity, conversation: conversation)
        if position < script.answers.count {
            builder.run(script.answers[position])
        }
        if position >= script.answers.count - 1 {
            builder.report(results: after.flatMap(\.results))
        }
        return builder.finished()
    }

    /// The thinking of an unfinished turn must come back, as the real service demands; a block's own signature has been checked by the reader.
    private static func checkReturnedBlocks(
        of answered: [Conversation.Turn], script: Script, maximumTokens: Int
    ) throws(ScriptedFault) {
        for (answer, turn) in zip(script.answers, answered) {
            let sent = PlanBuilder.signedBlocks(of: answer, maximumTokens: maximumTokens)
            guard sent.thinking <= turn.thinkingBlocks else {
                throw .invalid(
                    "messages: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
                        + "These blocks must remain as they were in the original response. "
                        + "(\(sent.thinking) were sent, \(turn.thinkingBlocks) came back.)")
            }
            guard sent.unknown <= turn.unknownBlocks else {
                throw .invalid("messages: a content block of an unknown type was sent and did not come back")
            }
        }
    }
}
