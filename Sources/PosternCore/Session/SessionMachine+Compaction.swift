import ManagedAgentsAPI
import PosternJSON

// What does not fit the model's context: how much of it there is, and what becomes of a conversation that has grown too long. Its length never ends a
// session: the worst is a turn that is given up.
extension SessionMachine {
    /// The share of the context that an answer may take, where it is known how much the context holds.
    private static let answerShare = 4
    /// The same for a summary.
    private static let summaryShare = 8
    /// Tokens of text below which there is nothing left to make a summary from.
    private static let leastText = 200

    /// What the context holds: the least of what the provider, the settings and the service's own refusals say.
    private var contextTokens: Int {
        let known = ModelLimits.smaller(ModelLimits.smaller(model.contextTokens, limits.model.contextTokens), state.toldContextTokens)
        return known ?? limits.contextTokens
    }

    /// The bound of an answer; nil where neither the provider nor the settings name one, and no setting or refusal a context that it must fit into:
    /// then the provider knows what to say.
    var answerTokens: Int? {
        let isBound = model.outputTokens != nil || limits.model.outputTokens != nil
        guard isBound || limits.model.contextTokens != nil || state.toldContextTokens != nil else { return nil }
        let wanted = min(limits.model.outputTokens ?? limits.answerTokens, model.outputTokens ?? .max)
        return max(1, min(wanted, contextTokens / Self.answerShare))
    }

    private var summaryTokens: Int { max(1, min(answerTokens ?? limits.answerTokens, contextTokens / Self.summaryShare)) }

    private var usedTokens: Int {
        state.contextTokens { TokenEstimate.content(system) + TokenEstimate.text(bytes: JSON.array(state.toolset.definitions).encoded.count) }
    }

    /// Whether the next request would come too near the limit. A conversation that has just begun is left to the service to judge: a summary would
    /// replace what the model has never seen.
    var shouldCompact: Bool { state.transcript.count > 2 && isNearLimit }

    private var isNearLimit: Bool {
        let room = contextTokens - (answerTokens ?? min(limits.answerTokens, contextTokens / Self.answerShare))
        return usedTokens > min(room, Int(Double(contextTokens) * limits.compactionShare))
    }

    // MARK: Asking for a summary

    /// - Parameter isTooLong: The conversation as it is has been refused.
    mutating func startCompaction(isTooLong: Bool = false) {
        let fits = usedTokens + summaryTokens + TokenEstimate.text(bytes: Self.compactionPrompt.utf8.count) <= contextTokens
        compact(budget: fits && !isTooLong ? nil : textBudget)
    }

    /// Tokens of text that leave room for the prompt and the summary.
    var textBudget: Int { max(Self.leastText, contextTokens - summaryTokens - TokenEstimate.content(system) - Self.leastText) }

    mutating func compact(budget: Int?) {
        emit(HiddenEvent.compactionStart, budget.map { ["budget": JSON($0)] } ?? [:], view: .hidden)
        var request = request()
        request.maximumTokens = summaryTokens
        if let budget {
            request.tools = []
            request.messages = [Self.message(ConversationText.make(state.transcript.decoded, tokens: budget))]
        } else {
            request.messages = state.transcript.messages
        }
        request.messages.append(Self.message(Self.compactionPrompt))
        let span = emit("span.model_request_start").eventID
        addEffect(.requestModel(request, span: span))
    }

    private static func message(_ text: String) -> [UInt8] { JSON.object(["role": "user", "content": Self.text(text)]).encoded }

    mutating func finishCompaction(_ response: ModelResponse) {
        guard let span = state.openSpan else { return }
        let summary = response.content.compactMap { $0["text"]?.string }.joined(separator: "\n")
        guard !summary.isEmpty else { return fail(ModelError(.contextTooLong, "The conversation is too long and the model gave no summary of it.")) }
        emit(HiddenEvent.compaction, ["summary": .string("This is a summary of the conversation so far.\n\n" + summary)], view: .hidden)
        emit("agent.thread_context_compacted")
        endSpan(span, usage: response.usage, isError: false)
        advance()
    }

    // MARK: What was refused as too long

    /// Goes on after a refusal, with less each time: a shorter answer, a summary, a summary of half as much text.
    mutating func shorten(_ error: ModelError, after compaction: SessionState.Compaction?) {
        let isNews = error.contextTokens.map { $0 < contextTokens } ?? false
        if isNews, let tokens = error.contextTokens { emit(HiddenEvent.contextLimit, ["tokens": JSON(tokens)], view: .hidden) }
        if let compaction {
            let budget = compaction.budget.map { min($0 / 2, textBudget) } ?? textBudget
            guard budget >= Self.leastText else { return giveUpShortening(error) }
            return compact(budget: budget)
        }
        // It was the answer's bound that was too long, not the conversation.
        if isNews, !isNearLimit { return startRequest() }
        guard !state.transcript.isSummary else { return giveUpShortening(error) }
        startCompaction(isTooLong: true)
    }

    private mutating func giveUpShortening(_ error: ModelError) {
        giveUp(
            "compaction_limit_reached_error",
            error.message
                + " (The system prompt, the tools and a summary of the conversation do not fit the model's context together. Choose a model with "
                + "a larger one, or give the agent less.)")
    }

    private static let compactionPrompt = """
        The conversation is near the limit of your context. Write a summary from which you can go on without it: the task and its constraints, what has been \
        done and found, which files and commands matter, what is still open, and the exact text of anything that must not be lost. Call no tools.
        """
}
