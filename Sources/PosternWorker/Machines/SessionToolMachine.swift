import PosternJSON

/// Which calls of a session run, when, and when the session is let go (contract, section 7). A value without I/O: the shell feeds it
/// the history, live events and what became of calls, and performs the actions it returns.
///
/// One call runs at a time, in arrival order. The next may start while earlier results are still being sent.
package struct SessionToolMachine: Sendable {
    package enum Input: Sendable {
        /// The whole log, read after the stream was opened.
        case history([JSON])
        /// It could not be read: nothing of it counts.
        case historyFailed
        case live(type: String, event: JSON)
        /// The call has a result and it is being sent; the next may start.
        case executed(String)
        /// The result was accepted.
        case posted(String)
        /// The result was refused for good, or the window closed: its outcome is kept and sent again at the next reconcile.
        case postFailed(String)
        /// The clock has reached the deadline.
        case timer
        /// The worker is to stop: what runs is cancelled, nothing starts any more.
        case drain
    }

    package enum Action: Sendable, Equatable {
        case run(ToolCall)
        /// Cancel this running call; `answer` false: its result is of no use any more.
        case cancel(String, answer: Bool)
        /// Send the outcome that is kept of this call again.
        case resend(ToolCall)
        case end(End)
    }

    package enum End: Sendable, Equatable {
        case idle
        /// `session.status_terminated` or `session.deleted`: the workspace can go.
        case sessionEnded
        case drained
    }

    private enum Place: Sendable, Equatable {
        /// Waits for a confirmation.
        case held
        case queued
        case running
        case sending
        /// Executed, its result not accepted.
        case kept
    }

    /// Results that may be on their way at once before the next call waits.
    private static let maximumSending = 8

    private let owned: Set<String>
    private let ownedCustom: Set<String>
    private var calls: [String: (call: ToolCall, place: Place, isGated: Bool)] = [:]
    /// Denied, answered, of a terminated thread, or not this worker's: never to be run.
    private var closed: Set<String> = []
    private var queue: [String] = []
    private var running: String?
    private var sending = 0
    private var verdicts: [String: Bool] = [:]
    private var terminatedThreads: Set<String> = []
    private var answered: Set<String> = []
    private var clock: IdleClock
    private var historyIsKnown = false
    private var isDraining = false
    private var hasEnded = false

    /// `owned`: names of tools that the worker runs; `ownedCustom`: names of custom tools. `maximumIdle` nil: never let go for idleness.
    package init(owned: Set<String>, ownedCustom: Set<String> = [], maximumIdle: Duration?) {
        self.owned = owned
        self.ownedCustom = ownedCustom
        clock = IdleClock(maximum: maximumIdle)
    }

    /// When `timer` is due; `nil` for never.
    package var deadline: Duration? { hasEnded ? nil : clock.deadline }

    /// Whether that call may still run or be answered.
    package func isOpen(_ id: String) -> Bool { calls[id] != nil }

    package mutating func handle(_ input: Input, now: Duration) -> [Action] {
        guard !hasEnded else { return [] }
        var actions: [Action] = []
        switch input {
        case .history(let events): actions = reconcile(events, now: now)
        case .historyFailed:
            historyIsKnown = false
            clock.disarm()
        case .live(let type, let event): actions = live(type, event, now: now)
        case .executed(let id):
            guard running == id else { break }
            running = nil
            if calls[id]?.place == .running {
                calls[id]?.place = .sending
                sending += 1
            }
        case .posted(let id): finish(id, isAccepted: true, now: now)
        case .postFailed(let id): finish(id, isAccepted: false, now: now)
        case .timer:
            if let deadline = clock.deadline, deadline <= now { return end(.idle) }
        case .drain:
            isDraining = true
            if let running { actions.append(.cancel(running, answer: true)) }
        }
        if hasEnded { return actions }
        if isDraining, running == nil, sending == 0 { return actions + end(.drained) }
        if let id = startable() {
            calls[id]?.place = .running
            running = id
            if let call = calls[id]?.call { actions.append(.run(call)) }
        }
        return actions
    }

    private mutating func end(_ reason: End) -> [Action] {
        hasEnded = true
        guard let running, reason != .drained else { return [.end(reason)] }
        return [.cancel(running, answer: false), .end(reason)]
    }

    private mutating func startable() -> String? {
        guard !isDraining, running == nil, sending < Self.maximumSending else { return nil }
        while !queue.isEmpty {
            let id = queue.removeFirst()
            if calls[id]?.place == .queued { return id }
        }
        return nil
    }

    /// A result is not on its way any more.
    private mutating func finish(_ id: String, isAccepted: Bool, now: Duration) {
        guard calls[id]?.place == .sending else { return }
        sending -= 1
        if isAccepted { close(id) } else { calls[id]?.place = .kept }
        if !isBusy { clock.resume(now: now) }
    }

    private mutating func close(_ id: String) {
        calls[id] = nil
        closed.insert(id)
    }

    /// A call waits for a confirmation, waits its turn, runs, or is being answered: the session is not idle, whatever the clock says.
    private var isBusy: Bool {
        running != nil || sending > 0 || calls.values.contains { $0.place == .queued || $0.place == .held && $0.isGated }
    }

    // MARK: History

    private mutating func reconcile(_ events: [JSON], now: Duration) -> [Action] {
        historyIsKnown = true
        clock.disarm()
        var uses: [ToolCall] = []
        var endsTurn = true  // a log without events is a session that nobody has spoken to
        for event in events {
            guard let type = event["type"]?.string else { continue }
            note(type, event)
            if let call = ToolCall(event: event, type: type) { uses.append(call) }
            if !Self.isNeutral(type) { endsTurn = Self.endsTurn(type, event) }
        }
        var actions: [Action] = []
        for id in calls.keys.filter(answered.contains) { actions += settle(id) }
        var isOutstanding = false
        for call in uses where !answered.contains(call.id) {
            if let known = calls[call.id], known.place == .kept {
                calls[call.id]?.place = .sending
                sending += 1
                actions.append(.resend(call))
            } else {
                actions += route(call)
            }
            // Also a call that is not this worker's: somebody else's answer is awaited, so the turn is not over.
            let isElsewhere = !owns(call) && call.permission != "deny" && verdicts[call.id] != false && !isTerminated(call)
            if calls[call.id] != nil || isElsewhere { isOutstanding = true }
        }
        for (id, entry) in calls where entry.place == .held || entry.place == .queued {
            if isTerminated(entry.call) { actions += settle(id) }
        }
        if endsTurn, !isOutstanding { clock.arm(now: now, isPaused: isBusy) }
        return actions
    }

    /// What an event says about calls, whether it came live or from the history.
    private mutating func note(_ type: String, _ event: JSON) {
        switch type {
        case "user.tool_result", "agent.tool_result":
            if let id = event["tool_use_id"]?.string { answered.insert(id) }
        case "user.custom_tool_result":
            if let id = event["custom_tool_use_id"]?.string { answered.insert(id) }
        case "user.tool_confirmation":
            if let id = event["tool_use_id"]?.string { verdicts[id] = event["result"]?.string == "allow" }
        case "session.thread_status_terminated":
            if let id = event["session_thread_id"]?.string { terminatedThreads.insert(id) }
        default: break
        }
    }

    private static func isNeutral(_ type: String) -> Bool { type == "user.tool_confirmation" || type == "session.thread_status_terminated" }

    private static func endsTurn(_ type: String, _ event: JSON) -> Bool {
        type == "session.status_idle" && event["stop_reason"]?["type"]?.string != "requires_action"
    }

    // MARK: Live

    private mutating func live(_ type: String, _ event: JSON, now: Duration) -> [Action] {
        // Previews are no events of the log.
        if type == "event_start" || type == "event_delta" { return [] }
        note(type, event)
        let wasBusy = isBusy
        var actions: [Action] = []
        if Self.endsTurn(type, event) {
            clock.arm(now: now, isPaused: isBusy)
        } else if !Self.isNeutral(type) {
            clock.disarm()
        }
        switch type {
        case "session.status_terminated", "session.deleted": return end(.sessionEnded)
        case "user.tool_result", "user.custom_tool_result", "agent.tool_result":
            if let id = event["tool_use_id"]?.string ?? event["custom_tool_use_id"]?.string { actions = settle(id) }
        case "user.tool_confirmation":
            guard let id = event["tool_use_id"]?.string, let entry = calls[id] else { break }
            actions = route(entry.call)
            // Not this worker's: whoever owns it starts to work now.
            if !owns(entry.call), verdicts[id] == true { clock.disarm() }
        case "session.thread_status_terminated":
            if !historyIsKnown { clock.disarm() }
            let thread = event["session_thread_id"]?.string
            for (id, entry) in calls where thread != nil && entry.call.threadID == thread { actions += settle(id) }
        default:
            if let call = ToolCall(event: event, type: type), !answered.contains(call.id) { actions = route(call) }
        }
        if wasBusy, !isBusy { clock.resume(now: now) }
        return actions
    }

    /// The call needs nothing any more: it is answered, or its thread is gone.
    private mutating func settle(_ id: String) -> [Action] {
        guard let entry = calls[id] else { return [] }
        switch entry.place {
        case .sending: return []  // what is being sent says so itself
        case .held, .queued, .kept:
            close(id)
            return []
        case .running:
            close(id)
            return [.cancel(id, answer: false)]
        }
    }

    // MARK: Routing

    private func owns(_ call: ToolCall) -> Bool { call.kind == .tool ? owned.contains(call.name) : ownedCustom.contains(call.name) }

    private func isTerminated(_ call: ToolCall) -> Bool { call.threadID.map(terminatedThreads.contains) ?? false }

    /// Decides over a call that is new, held or queued (contract, section 7.2). One that runs or has run stays where it is.
    private mutating func route(_ call: ToolCall) -> [Action] {
        if closed.contains(call.id) { return [] }
        let place = calls[call.id]?.place
        if let place, place != .held, place != .queued { return [] }
        let isGated = call.permission.map { $0 != "allow" && $0 != "deny" } ?? false
        if isTerminated(call) || call.permission == "deny" || verdicts[call.id] == false {
            close(call.id)
        } else if isGated, verdicts[call.id] != true {
            calls[call.id] = (call, .held, true)
            clock.pause()
        } else if owns(call) {
            calls[call.id] = (call, .queued, isGated)
            if place != .queued { queue.append(call.id) }
            clock.pause()
        } else {
            close(call.id)
        }
        return []
    }
}
