/// Turns the steps of one answer into a plan, within the request's `max_tokens`.
struct PlanBuilder {
    private var plan: ScriptedPlan
    private let identity: StableHash
    private let conversation: Conversation
    private var remaining: Int
    private var calls = 0
    private var hasEnded = false
    private var cutsNextCall = false

    init(identity: StableHash, conversation: Conversation) {
        self.identity = identity
        self.conversation = conversation
        remaining = conversation.maximumTokens
        plan = ScriptedPlan(messageID: "msg_scripted_" + identity.hex, model: conversation.model, streams: conversation.streams)
    }

    mutating func run(_ answer: Script.Answer) {
        cutsNextCall = answer.steps.contains(.maxTokensInCall)
        for step in answer.steps {
            // An error is answered before the first byte of the stream, wherever the line stands.
            if case .error(let status, let times, let retryAfter) = step {
                let fault = ScriptedFault(status: status, message: "The script asks for status \(status).", retryAfter: retryAfter)
                var key = identity
                key.combine(plan.failures.count)
                plan.failures.append(.init(fault: fault, times: times, key: key.value))
            }
        }
        for step in answer.steps where !hasEnded { perform(step) }
    }

    private mutating func perform(_ step: Script.Step) {
        switch step {
        case .say(let text): speak(text)
        case .text(let tokens): speak(Tokens.text(tokens))
        case .think(let tokens): think(Tokens.text(tokens))
        case .call(let tool, let input): call(tool, input)
        case .sleep(let milliseconds): plan.steps.append(.sleep(milliseconds: milliseconds))
        case .error, .maxTokensInCall: break
        case .errorMidStream(let type): end(.errorMidStream(type: type))
        case .drop: end(.drop)
        case .maxTokens: end(.stop("max_tokens"))
        case .pauseTurn: end(.stop("pause_turn"))
        case .refusal: end(.stop("refusal"))
        case .unknownBlock: append(.unknown(note: "not known yet", signature: ScriptSignature.of("not known yet")))
        }
    }

    /// The closing words: how many calls of the script ran, how many failed, and the start of the last result.
    mutating func report(results: [Conversation.Result]) {
        guard !hasEnded else { return }
        let failed = results.count { $0.isError }
        var text = "Ran \(results.count) \(results.count == 1 ? "call" : "calls"), \(failed) failed."
        if let last = results.last {
            let quote = last.text.prefix(200)
            text += quote.isEmpty ? " The last result is empty." : " The last result begins: \(quote)"
        }
        speak(text)
    }

    private mutating func speak(_ text: String) {
        let (kept, isCut) = cut(text)
        if !kept.isEmpty { append(.text(kept)) }
        if isCut { end(.stop("max_tokens")) }
    }

    private mutating func think(_ text: String) {
        let (kept, isCut) = cut(text)
        if !kept.isEmpty { append(.thinking(kept, signature: ScriptSignature.of(kept))) }
        if isCut { end(.stop("max_tokens")) }
    }

    private mutating func call(_ tool: String, _ input: String) {
        let block = ScriptedPlan.Block.call(id: nextCallID(), tool: tool, input: input, isCut: false)
        guard !cutsNextCall, block.tokens <= remaining else {
            let half = String(decoding: input.utf8.prefix(max(1, input.utf8.count / 2)), as: UTF8.self)
            append(.call(id: nextCallID(), tool: tool, input: half, isCut: true))
            return end(.stop("max_tokens"))
        }
        append(block)
        calls += 1
        plan.ending = .stop("tool_use")
    }

    /// Unique in the conversation, since the identity takes in the call before; the same again when the request is repeated.
    private func nextCallID() -> String {
        var hash = identity
        hash.combine(calls)
        return "toolu_scripted_" + hash.hex
    }

    private func cut(_ text: String) -> (String, Bool) {
        guard Tokens.count(text) > remaining else { return (text, false) }
        return (String(decoding: text.utf8.prefix(max(0, remaining) * 4), as: UTF8.self), true)
    }

    private mutating func append(_ block: ScriptedPlan.Block) {
        remaining -= block.tokens
        plan.steps.append(.block(block))
    }

    private mutating func end(_ ending: ScriptedPlan.Ending) {
        plan.ending = ending
        hasEnded = true
    }

    func finished() -> ScriptedPlan {
        var plan = plan
        plan.usage = conversation.inputUsage
        plan.usage.output = max(1, plan.blocks.reduce(0) { $0 + $1.tokens })
        return plan
    }

    /// How many blocks that must come back an answer was sent with.
    static func signedBlocks(of answer: Script.Answer, maximumTokens: Int) -> (thinking: Int, unknown: Int) {
        var remaining = maximumTokens
        var sent = (thinking: 0, unknown: 0)
        for step in answer.steps {
            guard remaining > 0 else { break }
            switch step {
            case .say(let text): remaining -= Tokens.count(text)
            case .text(let tokens): remaining -= tokens
            case .think(let tokens):
                remaining -= tokens
                sent.thinking += 1
            case .unknownBlock: sent.unknown += 1
            case .maxTokens, .pauseTurn, .refusal, .drop, .errorMidStream: return sent
            case .call, .sleep, .error, .maxTokensInCall: break
            }
        }
        return sent
    }
}
