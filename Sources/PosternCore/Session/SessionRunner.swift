import Logging
import ManagedAgentsAPI
import PosternJSON
import Synchronization

/// The shell around one session's machine. Inputs wait in an inbox; whoever finds it untended drains it: fold, store in one transaction, then
/// tell subscribers, start or stop model requests, answer the senders. A session with an empty inbox holds no task and no timer.
actor SessionRunner {
    nonisolated let id: String
    /// The last event that the present holder of the work item was handed. Unknown after a restart, so then everything counts as handed.
    nonisolated let deliveredSequence = Atomic<Int>(0)
    /// Nothing in flight: may be dropped from memory.
    nonisolated let isQuiet = Atomic<Bool>(true)

    private let engine: EngineContext
    private var machine: SessionMachine?
    private var record: SessionRecord?
    private var inbox: [SessionTask] = []
    private var drain: Task<Void, Never>?
    private var request: (span: String, task: Task<Void, Never>)?
    private var retry: Task<Void, Never>?
    /// What MCP servers are asked: the listing under its id, calls under theirs.
    private var asking: [String: Task<Void, Never>] = [:]
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

    private func apply(
        _ kind: SessionTask.Kind, to machine: inout SessionMachine, _ pending: inout PendingSettlement
    ) async throws(StoreError) -> Result<[[UInt8]], APIError> {
        do throws(APIError) {
            switch kind {
            case .input(let input): try machine.handle(input)
            case .update(let patch): try machine.handle(try pending.update(patch))
            case .archive:
                guard machine.state.status != .running, machine.state.status != .rescheduling else {
                    throw .invalid(
                        "Session \(id) cannot be archived while its status is \"\(machine.state.status.rawValue)\". Only pending or idle sessions may be archived."
                    )
                }
                if pending.record.archivedAt == nil {
                    machine.markArchived()
                    pending.archivedAt = engine.source.now()
                    if let stored = try await engine.work(id) {
                        let work = pending.work ?? stored
                        pending.work = WorkMachine.stop(work, force: true, now: engine.source.now())?.following(stored) ?? pending.work
                    }
                }
            case .leaseExpired: try await endLease(isRevoked: false, &machine, &pending)
            case .leaseRevoked: try await endLease(isRevoked: true, &machine, &pending)
            case .stopWork(let force, let keyID, let time): try await stopWork(force, by: keyID, time, &machine, &pending)
            }
            let step = machine.takeStep()
            pending.step.add(step)
            return .success(step.echoes)
        } catch {
            // Nobody waits for the end of a lease, so it is tried again until the store answers.
            switch kind {
            case .leaseExpired, .leaseRevoked: throw error.shouldRetry == false ? .invalid("\(error)") : .unavailable("\(error)")
            case .input, .update, .archive, .stopWork: return .failure(error)
            }
        }
    }

    private func endLease(isRevoked: Bool, _ machine: inout SessionMachine, _ pending: inout PendingSettlement) async throws(APIError) {
        guard let stored = try await engine.work(id) else { return }
        let work = pending.work ?? stored
        let now = engine.source.now()
        if !isRevoked, let end = work.leaseExpiresAt, end > now { return engine.leases.watch(id, until: end) }
        guard let expired = WorkMachine.expire(work, now: now) else { return }
        try await settleCalls(of: work, &machine)
        pending.work = wanted(after: expired, machine, now).following(stored)
    }

    private func stopWork(
        _ force: Bool, by keyID: String?, _ now: Timestamp, _ machine: inout SessionMachine, _ pending: inout PendingSettlement
    ) async throws(APIError) {
        guard let stored = try await engine.work(id) else { return }
        let work = pending.work ?? stored
        // Again, because somebody may have acknowledged it since the caller looked.
        try work.checkHolder(keyID)
        guard let stopped = WorkMachine.stop(work, force: force, now: now) else { return }
        if stopped.state == .stopped, work.isLeased { try await settleCalls(of: work, &machine) }
        pending.work = wanted(after: stopped, machine, now).following(stored)
    }

    /// A stopped item goes back into the queue while calls want a worker: those that nobody was handed, or that may be offered again.
    private func wanted(after work: WorkRecord, _ machine: SessionMachine, _ now: Timestamp) -> WorkRecord {
        guard work.state == .stopped, machine.state.calls.contains(where: { $0.isOutstanding && $0.owner == .worker }) else { return work }
        return WorkMachine.requeue(work, now: now) ?? work
    }

    /// In the transaction that ends the lease, so that the next worker finds nothing to run twice. The holder's streams are closed first: what it has
    /// been handed by then is what it has been handed.
    private func settleCalls(of work: WorkRecord, _ machine: inout SessionMachine) async throws(APIError) {
        engine.hub.closeWorkers(session: id)
        let redelivery = try await engine.redelivery(environmentID: work.environmentID)
        try machine.handle(.leaseLost(deliveredSequence: deliveredSequence.load(ordering: .relaxed), redelivery: redelivery))
    }

    // MARK: Effects

    private func perform(_ step: SessionStep) {
        for effect in step.effects {
            switch effect {
            case .requestModel(let model, let span): startRequest(model, span)
            case .cancelRequest(let span):
                guard request?.span == span else { continue }
                request?.task.cancel()
                request = nil
            case .scheduleRetry(let delay):
                retry = Task {
                    guard (try? await Task.sleep(for: delay)) != nil else { return }
                    self.retryIsDue()
                }
            case .cancelRetry:
                retry?.cancel()
                retry = nil
            case .listTools(let servers, let listing): list(servers, listing)
            case .callTool(let eventID, let server, let tool, let arguments): call(eventID, server, tool, arguments)
            case .cancelListing(let id), .cancelCall(let id): asking.removeValue(forKey: id)?.cancel()
            }
        }
        if request != nil || retry != nil || !asking.isEmpty { isQuiet.store(false, ordering: .relaxed) }
    }

    private func retryIsDue() {
        retry = nil
        post(.input(.retryDue))
    }

    // MARK: MCP servers

    private func list(_ servers: [MCPServer], _ listing: String) {
        guard let record else { return }
        let (engine, caller) = (engine, MCPCaller(record))
        asking[listing] = Task {
            let results = await withTaskGroup(of: (String, Result<[JSON], MCPFailure>).self) { group in
                for server in servers {
                    group.addTask {
                        do throws(MCPFailure) {
                            return (server.name, .success(try await engine.servers.tools(of: server, for: caller)))
                        } catch {
                            return (server.name, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            self.hasEnded(listing, .toolsListed(listing: listing, results))
        }
    }

    private func call(_ eventID: String, _ server: MCPServer, _ tool: String, _ arguments: JSONObject) {
        guard let record else { return }
        let (engine, caller) = (engine, MCPCaller(record))
        asking[eventID] = Task {
            let result: Result<MCPCallResult, MCPFailure>
            do throws(MCPFailure) {
                result = .success(try await engine.servers.call(tool, arguments, of: server, for: caller))
            } catch {
                result = .failure(error)
            }
            self.hasEnded(eventID, .mcpCallFinished(eventID: eventID, result))
        }
    }

    /// What was cancelled is not told: an interrupt has settled it, or the next process will.
    private func hasEnded(_ id: String, _ input: SessionInput) {
        guard !Task.isCancelled, asking.removeValue(forKey: id) != nil else { return }
        post(.input(input))
    }

    // MARK: Model requests

    private func startRequest(_ model: ModelRequest, _ span: String) {
        let engine = engine
        let id = id
        let task = Task {
            let previews = Mutex(PreviewMapper(makeID: engine.source.makeID))
            let result: Result<ModelResponse, ModelError>
            do throws(ModelError) {
                result = .success(
                    try await engine.provider.respond(to: model) { preview in
                        guard let frame = previews.withLock({ $0.handle(preview) }) else { return }
                        engine.hub.publishPreview(frame.kind, type: frame.type, bytes: frame.bytes, session: id)
                    })
            } catch {
                result = .failure(error)
            }
            if Task.isCancelled { return }
            self.requestHasEnded(span, result, previews.withLock { $0.ids })
        }
        request = (span, task)
    }

    private func requestHasEnded(_ span: String, _ result: Result<ModelResponse, ModelError>, _ previewIDs: [Int: String]) {
        guard request?.span == span else { return }
        request = nil
        post(.input(.modelFinished(span: span, result, previewIDs: previewIDs)))
    }
}
