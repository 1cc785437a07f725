import ManagedAgentsAPI
import PosternJSON

// Events from outside: clients' messages, verdicts and interrupts, and the results of tool calls.
extension SessionMachine {
    static let interruptedText = "Tool execution was interrupted before completion. Please retry."

    /// Refuses the whole list if one event does not fit. Takes into account what earlier events of the same list answer.
    func check(_ events: [ClientEvent]) throws(APIError) {
        guard state.status != .terminated else {
            throw .invalid("Session \(state.sessionID) is terminated and takes no more events.")
        }
        var arriving = 0
        var interrupts = 0
        for (index, event) in events.enumerated() {
            switch event {
            case .message: arriving += 1
            case .systemMessage:
                let follows = index > 0 ? events[index - 1] : nil
                let trailsResult =
                    follows.map { if case .toolResult = $0 { true } else if case .customToolResult = $0 { true } else { false } } ?? false
                if state.status == .idle, !state.outstanding.isEmpty, !trailsResult {
                    throw .invalid(
                        "events.\(index): system.message cannot be sent while the session waits for tool results, unless it follows one of them.")
                }
                arriving += 1
            case .interrupt(let thread?) where thread != state.threadID: throw .notFound("Thread not found: \(thread)")
            case .interrupt: interrupts += 1
            case .toolConfirmation(let id, let allow, let message): try checkConfirmation(index, id, allow: allow, message)
            case .toolResult(let id, _, _): try checkResult(index, event.type, id, owner: .worker)
            case .customToolResult(let id, _, _): try checkResult(index, event.type, id, owner: .client)
            }
        }
        guard state.waiting.count + arriving <= limits.waitingEvents else {
            throw APIError(
                429, .rateLimit, "Session \(state.sessionID) has \(state.waiting.count) events waiting; at most \(limits.waitingEvents) may.",
                retryAfter: 5)
        }
        // An interrupt of something that runs ends a turn; any other only makes the log longer.
        let endings = state.status != .idle || !state.calls.isEmpty ? min(1, interrupts) : 0
        try checkLength(adding: arriving + interrupts - endings)
    }

    /// Refuses what would make the log longer than a session's may be. Answers to calls, verdicts on them and the engine's own events are not asked:
    /// a turn that has begun comes to its end, by its own limit on model requests at the latest.
    func checkLength(adding count: Int) throws(APIError) {
        guard count > 0, state.eventCount + count > limits.eventsPerSession else { return }
        throw .invalid(
            "Session \(state.sessionID) has \(state.eventCount) events; with \(count) more it would pass the maximum of \(limits.eventsPerSession) for one "
                + "session. Go on in a new session, or raise the server's setting max_events_per_session.",
            details: ["error_code": "session_events_limit"])
    }

    private func checkConfirmation(_ index: Int, _ id: String, allow: Bool, _ message: String?) throws(APIError) {
        if state.answered[id] != nil { return }
        guard let call = state.calls.first(where: { $0.eventID == id }) else {
            throw .invalid("Invalid tool_confirmation event at index \(index): no tool use with id \(id) in this session")
        }
        guard call.permission == .ask else {
            throw .invalid("Invalid tool_confirmation event at index \(index): tool use \(id) does not wait for a confirmation")
        }
        guard call.verdict == nil || call.verdict == (allow ? .allowed : .denied(message: message)) else {
            throw .invalid("Invalid tool_confirmation event at index \(index): tool use \(id) has been decided already")
        }
    }

    private func checkResult(_ index: Int, _ type: String, _ id: String, owner: Toolset.Owner) throws(APIError) {
        if state.answered[id] != nil { return }
        let name = type.dropFirst("user.".count)
        guard let call = state.calls.first(where: { $0.eventID == id }) else {
            throw .invalid("Invalid \(name) event at index \(index): no tool use with id \(id) in this session")
        }
        guard call.owner == owner else {
            throw .invalid("Invalid \(name) event at index \(index): tool use \(id) is answered by \(call.resultEvent.type)")
        }
        if call.isHeld { throw .invalid("Invalid \(name) event at index \(index): tool use \(id) waits for a user.tool_confirmation") }
    }

    /// Takes checked events, in order; an interrupt first of all.
    mutating func take(_ events: [ClientEvent]) {
        var answers = 0
        var interrupts: [String] = []
        for event in events {
            switch event {
            case .message, .systemMessage:
                addEcho(emit(event.type, event.fields, view: .received).bytes)
            case .interrupt:
                let row = emit(event.type, event.fields, view: .received)
                addEcho(row.bytes)
                interrupts.append(row.eventID)
            case .toolConfirmation(let id, _, _):
                let isOpen = state.calls.contains { $0.eventID == id && $0.isHeld }
                answers += takeAnswer(event, isOpen: isOpen, existing: id)
                if isOpen { startCall(id) }
            case .toolResult(let id, _, _), .customToolResult(let id, _, _):
                let isOpen = state.calls.contains { $0.eventID == id && $0.isOutstanding }
                answers += takeAnswer(event, isOpen: isOpen, existing: state.answered[id])
            }
        }
        for interrupt in interrupts { self.interrupt(interrupt) }
        if interrupts.isEmpty, answers > 0 { waitOrAdvance() } else { advance() }
        // Should the item have been stopped meanwhile, whatever arrives brings it back for the calls that still wait.
        if state.calls.contains(where: { $0.isRunnable && $0.owner == .worker }) { step.needsWorker = true }
    }

    /// Stores an answer, or, when there is one already, says yes and changes nothing (contract section 4.7, 6).
    private mutating func takeAnswer(_ event: ClientEvent, isOpen: Bool, existing: String?) -> Int {
        guard isOpen else {
            addEcho(EventDraft(id: existing ?? source.makeID(), type: event.type, fields: event.fields, processedAt: state.lastProcessedAt).encoded)
            return 0
        }
        addEcho(emit(event.type, event.fields).bytes)
        return 1
    }

    /// Stops whatever runs. The words and the order are the reference's: results of the calls, the interrupt, the idle pair.
    private mutating func interrupt(_ eventID: String) {
        let hadWork = state.status != .idle || !state.calls.isEmpty
        if let span = state.openSpan {
            addEffect(.cancelRequest(span: span))
            endSpan(span, usage: .init(), isError: true)
        }
        if state.status == .rescheduling { addEffect(.cancelRetry) }
        if let listing = state.openListing { addEffect(.cancelListing(listing: listing)) }
        for call in state.calls where call.isUnderWay { cancelCall(call.eventID) }
        for call in state.calls where call.result == nil { close(call, with: Self.interruptedText) }
        let fields = state.waiting.first { $0.id == eventID }?.fields ?? [:]
        emit("user.interrupt", fields, id: eventID)
        if hadWork { enterIdle(["type": "end_turn"]) }
    }

    /// Answers a call in its owner's stead. A worker takes a call for open until it sees a `user.*_result` (contract section 7.1), so that is what it
    /// gets, unless a verdict has closed the call for the worker already.
    mutating func close(_ call: ToolCall, with text: String) {
        if call.isRefused {
            refuse(call)
        } else {
            emit(call.resultEvent.type, [call.resultEvent.key: .string(call.eventID), "content": Self.text(text), "is_error": true])
        }
    }

    /// Settles what a lost worker may have run, so that the next one finds nothing to run twice.
    mutating func settleLostCalls(_ deliveredSequence: Int, _ redelivery: Redelivery) {
        guard redelivery == .atMostOnce else { return }
        let lost = state.calls.filter {
            $0.isRunnable && $0.owner == .worker && $0.sequence <= deliveredSequence && !AgentToolset.idempotent.contains($0.name)
        }
        guard !lost.isEmpty else { return }
        for call in lost {
            close(
                call,
                with:
                    "The worker that this call was handed to was lost before it answered. Whether the call took effect is unknown; it was not repeated. "
                    + "Check before you run it again.")
        }
        waitOrAdvance()
    }
}
