import Logging
import ManagedAgentsAPI
import Synchronization

/// The shell around one session's machine. Inputs wait in an inbox; whoever finds it untended drains it: fold, store in one transaction, then
/// tell subscribers, start or stop model requests, answer the senders. A session with an empty inbox holds no task and no timer.
actor SessionRunner {
    nonisolated let id: String
    /// The last event that the present holder of the work item was handed. Unknown after a restart, so then everything counts as handed.
    nonisolated let deliveredSequence = Atomic<Int>(0)
    /// Nothing in flight: may be dropped from memory.
    nonisolated let isQuiet = Atomic<Bool>(true)

    let engine: EngineContext
    private var machine: SessionMachine?
    private(set) var record: SessionRecord?
    private var inbox: [SessionTask] = []
    private var drain: Task<Void, Never>?
    // What `perform` has under way.
    var request: (span: String, task: Task<Void, Never>)?
    var retry: Task<Void, Never>?
    /// What MCP servers are asked: the listing under its id, calls under theirs.
    var asking: [String: Task<Void, Never>] = [:]
    /// The wait for a store that cannot be written.
    private var pause: Task<Void, Never>?
    /// Waits, each for the next try of a step that the store refused.
    private var refused: [Int: Task<Void, Never>] = [:]
    private var refusals = 0
    private var isEnding = false
    private let inboxLimit = 256

    init(id: String, engine: EngineContext) {
        self.id = id
        self.engine = engine
    }

    /// A session that was just created, with the effects of its first step still to perform.
    init(record: SessionRecord, machine: SessionMachine, engine: EngineContext) {
        id = record.id
        self.engine = engine
        self.record = record
        self.machine = machine
    }

    func begin(_ step: SessionStep) { perform(step) }

    /// Enters a task and waits until it is stored or refused.
    func submit(_ kind: SessionTask.Kind) async -> Result<[[UInt8]], APIError> {
        guard inbox.count < inboxLimit else {
            return .failure(APIError(429, .rateLimit, "Session \(id) has too many requests waiting. Try again shortly.", retryAfter: 1))
        }
        return await withCheckedContinuation { post(SessionTask(kind: kind, reply: $0)) }
    }

    /// Enters a task that nobody waits for.
    func post(_ kind: SessionTask.Kind) { post(SessionTask(kind: kind, reply: nil)) }

    private func post(_ task: SessionTask) {
        inbox.append(task)
        guard drain == nil else { return }
        isQuiet.store(false, ordering: .relaxed)
        drain = Task { await self.drainInbox() }
    }

    /// Stops what runs, for good; the next process resumes it from the log.
    func shutDown() async {
        isEnding = true
        pause?.cancel()
        for wait in refused.values { wait.cancel() }
        request?.task.cancel()
        retry?.cancel()
        for task in asking.values { task.cancel() }
        await request?.task.value
        for task in asking.values { await task.value }
        await drain?.value
    }

    // MARK: Draining

    private func drainInbox() async {
        var retry = SettlementRetry()
        /// Tasks to be tried one by one, because one of them was refused.
        var suspects = 0
        while !inbox.isEmpty {
            let batch = suspects > 0 ? [inbox.removeFirst()] : inbox
            if suspects > 0 { suspects -= 1 } else { inbox = [] }
            do {
                try await settle(batch)
                retry.succeeded()
            } catch {
                machine = nil
                switch retry.failed(error) {
                case .again: inbox.insert(contentsOf: batch, at: 0)
                case .later: await putOff(answered(batch, error), error, isFirst: retry.failures == 1)
                case .refused where batch.count > 1:
                    suspects = batch.count
                    inbox.insert(contentsOf: batch, at: 0)
                case .refused: giveUp(answered(batch, error), error)
                }
            }
        }
        drain = nil
        isQuiet.store(request == nil && self.retry == nil && asking.isEmpty, ordering: .relaxed)
    }

    /// Tells the senders of a batch that nothing of it was stored. What is left is the engine's own, which nobody would send again.
    private func answered(_ batch: [SessionTask], _ error: StoreError) -> [SessionTask] {
        for task in batch { task.reply?.resume(returning: .failure(error.apiError)) }
        return batch.filter { $0.reply == nil }
    }

    /// The store cannot be written at the moment: the tasks wait for it.
    private func putOff(_ tasks: [SessionTask], _ error: StoreError, isFirst: Bool) async {
        // Once for each outage: a full disk must not be filled by the words about it.
        engine.logger.log(
            level: isFirst ? .error : .debug, "session could not be stored; trying again", metadata: ["session": "\(id)", "error": "\(error)"])
        guard !tasks.isEmpty else { return }
        let wait = Task { [delay = engine.limits.storeRetry] in _ = try? await Task.sleep(for: delay) }
        pause = wait
        await wait.value
        pause = nil
        // The next process finds in the log what this one leaves undone.
        if !isEnding { inbox.insert(contentsOf: tasks, at: 0) }
    }

    /// The store will not take it. An answer of the model becomes a failure that ends the turn; what has no such way out is tried again once in a
    /// while, for it may be the store that is mended.
    private func giveUp(_ tasks: [SessionTask], _ error: StoreError) {
        engine.logger.critical("session's step was refused by the store", metadata: ["session": "\(id)", "error": "\(error)"])
        for task in tasks {
            if case .input(.modelFinished(let span, .success, _)) = task.kind {
                let failure = ModelError(.requestFailed, "The model's answer could not be stored.")
                inbox.append(SessionTask(kind: .input(.modelFinished(span: span, .failure(failure), previewIDs: [:])), reply: nil))
            } else if case .input(.mcpCallFinished(let id, .success)) = task.kind {
                let failure = MCPFailure(.call, "The call was made, and its result could not be stored.")
                inbox.append(SessionTask(kind: .input(.mcpCallFinished(eventID: id, .failure(failure))), reply: nil))
            } else if !isEnding {
                refusals += 1
                refused[refusals] = Task { [delay = engine.limits.refusalRetry, number = refusals] in
                    guard (try? await Task.sleep(for: delay)) != nil else { return }
                    self.refused[number] = nil
                    self.post(task.kind)
                }
            }
        }
    }

    private func settle(_ batch: [SessionTask]) async throws(StoreError) {
        guard var machine = try await loadedMachine(), var record else {
            for task in batch { task.reply?.resume(returning: .failure(.notFound("Session \(id) not found."))) }
            return
        }
        machine.model = await engine.limits(of: machine.state.modelID)
        // The only reference, or every change would first copy what a long history holds. Put back when it is stored; read anew when not.
        self.machine = nil
        var pending = PendingSettlement(record: record)
        var answers: [(reply: SessionTask.Reply, result: Result<[[UInt8]], APIError>)] = []
        for task in batch {
            let result = try await apply(task.kind, to: &machine, &pending)
            if let reply = task.reply { answers.append((reply, result)) }
        }
        if pending.step.needsWorker, pending.work == nil || pending.work?.state == .stopped, pending.archivedAt == nil,
            let work = try await engine.storedWork(id)
        {
            pending.work = WorkMachine.requeue(pending.work ?? work, now: engine.source.now())?.following(work) ?? pending.work
        }
        if let settlement = pending.settlement(state: machine.state, now: engine.source.now()) {
            try await engine.settle(settlement)
            record.apply(settlement)
        }
        self.machine = machine
        self.record = record
        engine.hub.publish(pending.step.rows, session: id)
        if let work = pending.work {
            if !work.isLeased {
                engine.leases.forget(id)
                // Again, for streams that were opened while the lease was ending.
                engine.hub.closeWorkers(session: id)
            }
            if work.state == .queued { engine.signal.notify(work.environmentID) }
        }
        perform(pending.step)
        // For good: an archived session calls nobody any more.
        if pending.archivedAt != nil { await engine.servers.end(session: id) }
        for answer in answers { answer.reply.resume(returning: answer.result) }
    }

    private func loadedMachine() async throws(StoreError) -> SessionMachine? {
        if let machine { return machine }
        guard let record = try await engine.store.session(id) else { return nil }
        var state = SessionState(sessionID: id, threadID: record.threadID, agent: record.agent)
        let limit = ReadLimit(rows: 1000)
        while true {
            let rows = try await engine.store.rows(session: id, after: state.lastSequence, limit: limit)
            for row in rows {
                do {
                    try state.apply(row)
                } catch {
                    throw .invalid("the log of session \(id) cannot be read: \(error)")
                }
            }
            if !limit.isReached(by: rows) { break }
        }
        if record.archivedAt != nil { state.markArchived() }
        if self.record == nil { deliveredSequence.store(state.lastSequence, ordering: .relaxed) }
        self.record = record
        let machine = SessionMachine(state: state, limits: engine.limits, source: engine.source)
        self.machine = machine
        return machine
    }
}
