import ManagedAgentsAPI
import PosternJSON

/// Decides what a session does: `(state, input) → (rows, effects)`. It has no clock and no I/O; whoever owns it stores the rows, performs
/// the effects, and throws the machine away for one folded from the store when storing fails.
struct SessionMachine: Sendable {
    private(set) var state: SessionState
    let limits: SessionLimits
    /// What the provider says of the session's model; whoever owns the machine keeps it up to date.
    var model = ModelLimits()
    let source: StepSource
    var step = SessionStep()
    init(state: SessionState, limits: SessionLimits = .init(), source: StepSource = .init()) {
        self.state = state
        self.limits = limits
        self.source = source
    }

    /// Takes the outcome of all inputs since the last call.
    mutating func takeStep() -> SessionStep {
        defer { step = SessionStep() }
        return step
    }

    /// Feeds one input. An error means that nothing of it was taken.
    mutating func handle(_ input: SessionInput) throws(APIError) {
        switch input {
        case .clientEvents(let events):
            try check(events)
            take(events)
        case .modelFinished(let span, let result, let previewIDs):
            guard state.openSpan == span else { return }  // cancelled meanwhile, or decided by another process
            switch result {
            case .success(let response): state.isCompacting ? finishCompaction(response) : finish(response, previewIDs)
            case .failure(let error): fail(error)
            }
        case .toolsListed(let listing, let results): finishListing(listing, results)
        case .mcpCallFinished(let id, let result): finishCall(id, result)
        case .retryDue:
            guard state.status == .rescheduling else { return }
            advance(isRetry: true)
        case .leaseLost(let delivered, let redelivery): settleLostCalls(delivered, redelivery)
        case .resumed: resume()
        case .updated(let title, let metadata, let agent): try update(title, metadata, agent)
        }
    }

    // MARK: Rows

    /// Decides one event: it is folded at once, so that what follows sees it.
    @discardableResult
    mutating func emit(_ type: String, _ fields: JSONObject = [:], id: String? = nil, view: EventRow.View = .processed) -> EventRow {
        // Strictly increasing, so that the order by processed_at is the order of the log.
        let time = max(source.now(), Timestamp(microseconds: state.lastProcessedAt.microseconds + 1))
        let draft = EventDraft(
            id: id ?? source.makeID(), view: view, type: type, fields: fields, processedAt: view == .processed ? time : nil)
        let row = draft.row(sequence: state.lastSequence + 1)
        state.apply(draft, sequence: row.sequence)
        step.rows.append(row)
        return row
    }

    mutating func addEffect(_ effect: SessionEffect) { step.effects.append(effect) }
    mutating func addEcho(_ bytes: [UInt8]) { step.echoes.append(bytes) }

    // MARK: Moving on

    /// Starts the next model request if there is something for the model to read and nothing to wait for.
    mutating func advance(isRetry: Bool = false) {
        guard state.status != .terminated, state.openSpan == nil, state.openListing == nil, state.outstanding.isEmpty else { return }
        // While it waits to try again only the end of the wait, or an interrupt, moves it.
        guard state.status != .rescheduling || isRetry else { return }
        guard state.status != .idle || state.owesAnswer || !state.waiting.isEmpty || !state.calls.isEmpty else { return }
        enterRunning()
        for call in state.calls where call.isRefused { refuse(call) }
        for event in state.waiting { emit(event.type, event.fields, id: event.id) }
        guard state.requestsThisTurn < limits.requestsPerTurn else {
            return giveUp(
                "tool_use_limit_reached_error", "The turn made \(limits.requestsPerTurn) model requests without ending. Send a message to go on.")
        }
        guard !startListing() else { return }
        if shouldCompact { startCompaction() } else { startRequest() }
    }

    /// Answers a call that is not to run.
    mutating func refuse(_ call: ToolCall) {
        let event = call.refusalEvent
        emit(event.type, [event.key: .string(call.eventID), "is_error": true, "content": Self.text(call.refusal)])
    }

    mutating func enterRunning() {
        guard state.status != .running else { return }
        emit("session.status_running")
        emit("session.thread_status_running", threadFields)
        step.needsWorker = true
    }

    mutating func startRequest() {
        let span = emit("span.model_request_start").eventID
        addEffect(.requestModel(request(), span: span))
    }

    /// Ends the turn. `session.status_idle` is its last event: workers rely on it (contract section 4.7).
    mutating func enterIdle(_ stopReason: JSON, details: JSON? = nil) {
        var fields: JSONObject = ["stop_reason": stopReason]
        if let details { fields["stop_details"] = details }
        var thread = threadFields
        for (key, value) in fields { thread[key] = value }
        emit("session.thread_status_idle", thread)
        emit("session.usage", ["usage": state.usage(at: source.now()).json])
        emit("session.status_idle", fields)
        if state.calls.contains(where: { $0.isOutstanding && $0.owner == .worker }) { step.needsWorker = true }
    }

    /// Waits for answers from outside, or goes on if there is none to wait for.
    mutating func waitOrAdvance(isRetry: Bool = false) {
        let outstanding = state.outstanding
        guard !outstanding.isEmpty else { return advance(isRetry: isRetry) }
        if outstanding.contains(where: \.isUnderWay) {
            enterRunning()
            // Others need not wait for what runs at a server.
            if outstanding.contains(where: { $0.owner == .worker }) { step.needsWorker = true }
            return
        }
        enterIdle(["type": "requires_action", "event_ids": .array(outstanding.map { .string($0.eventID) })])
    }

    private mutating func resume() {
        guard state.status == .running || state.status == .rescheduling else { return }
        // The request died with the process. Its span is closed, which also ends previews that nobody will complete.
        if let span = state.openSpan { endSpan(span, usage: .init(), isError: true) }
        // So did the calls at MCP servers, and nobody knows what became of them there.
        for call in state.calls where call.isUnderWay { close(call, with: Self.unknownOutcome) }
        if state.openListing != nil {
            startListing(again: true)
        } else {
            waitOrAdvance(isRetry: true)
        }
    }

    private mutating func update(_ title: String??, _ metadata: JSONObject?, _ agent: JSONObject?) throws(APIError) {
        guard agent == nil || state.status == .idle else {
            throw .invalid(
                "agent: tools and mcp_servers can only be changed while the session is idle; it is \(state.status.rawValue). Send a user.interrupt and wait."
            )
        }
        var fields: JSONObject = [:]
        if let title { fields["title"] = JSON(title) }
        if let metadata { fields["metadata"] = .object(metadata) }
        if let agent { fields["agent"] = .object(agent) }
        guard !fields.isEmpty else { return }
        try checkLength(adding: 1)
        emit("session.updated", fields)
    }

    // MARK: Pieces

    var threadFields: JSONObject {
        ["session_thread_id": .string(state.threadID), "agent_name": state.agent["name"] ?? ""]
    }

    static func text(_ text: String) -> JSON { [["type": "text", "text": .string(text)]] }

    mutating func endSpan(_ span: String, usage: ModelUsage, isError: Bool) {
        var usage = usage.spanUsage.object ?? [:]
        if let speed = state.agent["model"]?["speed"] { usage["speed"] = speed }
        emit("span.model_request_end", ["model_request_start_id": .string(span), "is_error": .bool(isError), "model_usage": .object(usage)])
    }

    /// For a session whose record says that it is archived: the log does not show it.
    mutating func markArchived() { state.markArchived() }
}

/// Bounds of a session's behaviour.
package struct SessionLimits: Sendable {
    /// Tries of one model request before the turn is given up.
    package var attempts = 6
    /// First wait between tries; it doubles up to `longestRetry`.
    package var shortestRetry: Duration = .milliseconds(500)
    package var longestRetry: Duration = .seconds(60)
    /// Model requests in one turn.
    package var requestsPerTurn = 1000
    /// What the operator says of models, which bounds what the provider's list says of them.
    package var model = ModelLimits()
    /// Tokens of one answer where the operator names no bound and the model could give more.
    package var answerTokens = 32_000
    /// Tokens of the context where nobody says what it holds, and the share of it at which the conversation is summarised.
    package var contextTokens = 200_000
    package var compactionShare = 0.85
    /// Events that may wait for the model at once.
    package var waitingEvents = 1000
    /// Events of one session from which on clients can add no more than the answers that end a turn.
    package var eventsPerSession = 100_000
    /// Until the engine tries again to store something in a store that could not be written.
    package var storeRetry: Duration = .seconds(1)
    /// Until it tries again what the store refused.
    package var refusalRetry: Duration = .seconds(60)

    package init() {}
}
