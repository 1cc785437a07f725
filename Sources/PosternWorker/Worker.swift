import Logging
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternAudit
import PosternGate
import PosternJSON
import PosternSandbox
import ServiceLifecycle
import Synchronization

/// The worker: claims sessions of one environment and runs their tools in sandboxes. It only dials out.
///
/// `run()` ends by graceful shutdown or cancellation, after releasing its sessions (at most `drainTimeout`); by an error that waiting
/// cannot cure, such as a revoked key; or, with `drain`, when the queue is empty.
package final class Worker: Service {
    package enum Mode: Sendable {
        /// Poll and serve many sessions.
        case poll
        /// Serve one item that another process claimed (contract, section 6.7).
        case item(WorkItem)
    }

    /// Why a worker ended.
    package enum Failure: Error, Sendable, CustomStringConvertible {
        case api(ClientError)
        case file(FileError)
        /// The script of `on_work` is not one to run.
        case launcher(String)
        /// The one item of `Mode.item` failed.
        case item(String)
        /// The audit cannot be written, without which nothing may run.
        case unrecordable(String)

        package var description: String {
            switch self {
            case .api(let error): error.description
            case .file(let error): error.description
            case .launcher(let reason), .item(let reason): reason
            case .unrecordable(let reason): "what happens cannot be recorded: \(reason)"
            }
        }
    }

    private let configuration: WorkerConfiguration
    private let client: ManagedAgentsClient
    private let driver: any SandboxDriver
    private let mode: Mode
    private let logger: Logger
    package let metrics: WorkerMetrics
    private let drain = Signal()
    /// Questions that wait for somebody inside the perimeter.
    package let desk = ApprovalDesk()
    private let decisions = DecisionFeed()

    /// Nothing happens before `run()`.
    package init(
        configuration: WorkerConfiguration, transport: any ClientTransport, driver: any SandboxDriver, mode: Mode = .poll,
        metrics: WorkerMetrics = WorkerMetrics(), logger: Logger
    ) {
        self.configuration = configuration
        var options = ManagedAgentsClient.Options()
        options.pacing = configuration.pacing
        options.helper = "environments-worker"
        client = ManagedAgentsClient(transport: transport, credential: configuration.environmentKey ?? Secret(""), options: options)
        self.driver = MeasuredDriver(driver, metrics, configuration.pacing)
        self.metrics = metrics
        self.mode = mode
        self.logger = logger
    }

    package var statistics: WorkerStatistics { metrics.statistics }

    /// Stops claiming, cancels running calls, posts their error results, releases all items.
    package func shutDown() { drain.fire() }

    package func run() async throws {
        // The work goes on in a task of its own, because draining must still talk while the caller's task is cancelled.
        let work = Task { try await self.serve() }
        try await withGracefulShutdownHandler {
            try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                self.drain.fire()
            }
        } onGracefulShutdown: {
            self.drain.fire()
        }
    }

    private func serve() async throws {
        // Without a record nothing may run: the worker ends, and whoever watches over it hears why.
        let unrecordable = FailureSignal()
        unrecordable.onFire { [drain] _ in drain.fire() }
        let server: ItemServer
        let audit: AuditLog
        let live: LiveSessions
        let gate: ResultGate
        let books: (ByteBook, ByteBook)
        if let script = configuration.launcher?.script {
            let refusal: String?
            do {
                refusal = try await Blocking.run { () throws(FileError) in ScriptLauncher.refusal(script) }
            } catch {
                throw Failure.file(error)
            }
            if let refusal { throw Failure.launcher(refusal) }
        }
        do {
            let configuration = configuration
            var settings = configuration.audit
            settings.policy = configuration.policies.digest
            settings.observe = { [counts = metrics.auditObserver] in counts.observe($0, $1) }
            let auditSettings = settings
            let opened = try await Blocking.run { () throws(FileError) in
                if !configuration.sharedWorkspace { try SmallFile.makeFolder(configuration.workdir) }
                let state = try StateFolder(
                    path: configuration.stateDirectory, workerID: configuration.workerID, hostName: configuration.hostName,
                    walked: configuration.sessionsWalk && !configuration.sharedWorkspace ? configuration.workdir : nil)
                let audit = try AuditLog(
                    path: "\(state.path)/audit.jsonl", key: try AuditKey.load(path: "\(state.path)/audit.key"), settings: auditSettings)
                return (state, audit, try ByteBook(path: "\(state.path)/bytes.json"), try ByteBook(path: "\(state.path)/egress-bytes.json"))
            }
            audit = opened.1
            if let key = audit.newRootKey {
                logger.notice("the audit log begins; keep its root key where this machine cannot change it", metadata: ["root_key": "\(key)"])
            }
            for kind in configuration.startRecords {
                try await audit.append(AuditRecord(time: Timestamp.now().description, kind: kind), durable: true)
            }
            if let key = configuration.environmentKey {
                try await audit.append(
                    AuditRecord(
                        time: Timestamp.now().description,
                        kind: .keyUsed(
                            name: "environment key \(audit.key.fingerprint(key.value))", purpose: "the queue of \(configuration.environmentID)")),
                    durable: true)
            }
            live = try await Blocking.run { [desk] () throws(FileError) in
                do throws(LocalControlError) {
                    return try LiveSessions(stateFolder: opened.0.path, desk: desk) { [audit] request, reply, peer in
                        await Self.record(request, reply, peer, audit)
                    }
                } catch {
                    throw FileError(action: "use", path: opened.0.path, reason: error.description)
                }
            }
            gate = ResultGate(
                audit: audit, limits: configuration.gateLimits, book: opened.2, timestamp: { Timestamp.now().description })
            books = (opened.2, opened.3)
            server = ItemServer(
                configuration: configuration, client: client, driver: driver, state: opened.0, gate: gate, audit: audit, desk: desk, live: live,
                egressBook: opened.3, decisions: decisions,
                sharedEgress: configuration.egress.map { SharedEgress(launcher: $0) }, metrics: metrics, drain: drain, logger: logger,
                launcher: configuration.launcher.map { ScriptLauncher($0) },
                unrecordable: unrecordable)
        } catch {
            throw Failure.file(error)
        }
        watch(live, results: books.0, egress: books.1)
        let control = Task { [configuration, decisions, logger] in
            try await LocalControlServer(stateFolder: configuration.stateDirectory, sessions: live, decisions: decisions, logger: logger).run()
        }
        let registry = SessionRegistry(limit: configuration.maxSessions)
        let result: Result<Void, any Error>
        switch mode {
        case .poll:
            result = await poll(server, registry)
            // Drained means that the queue is empty; its sessions may still end by themselves.
            if case .success = result, configuration.drain {} else { drain.fire() }
            await end(registry)
        case .item(let item): result = await one(item, server, registry)
        }
        do throws(FileError) {
            try await gate.finish()
            try await server.egressBook.finish()
        } catch {
            logger.error("the count of bytes could not be written: \(error)")
        }
        control.cancel()
        _ = try? await control.value
        let reason: String
        if case .failure(let error) = result { reason = "\(error)" } else { reason = unrecordable.reason ?? "stopped" }
        // Nothing is left to be told if this cannot be written.
        try? await audit.append(AuditRecord(time: Timestamp.now().description, kind: .workerStopped(reason: reason)), durable: true)
        await audit.finish()
        try result.get()
        if let reason = unrecordable.reason { throw Failure.unrecordable(reason) }
    }

    /// What is not counted as it happens, for whoever reads the metrics.
    private func watch(_ live: LiveSessions, results: ByteBook, egress: ByteBook) {
        // Held by the metrics, which outlive the work: what holds the state folder must not be kept by them.
        metrics.onRead { [weak metrics, weak live, weak results, weak egress, desk] in
            guard let metrics, let live, let results, let egress else { return }
            let today = String(Timestamp.now().description.prefix(10))
            metrics.set(
                approvalsOpen: await desk.waiting.count, frozen: await live.frozenCount, resultDayBytes: results.bytes(day: today),
                egressDayBytes: egress.bytes(day: today))
        }
    }

    /// One signed record says that all stand still, or that they go on.
    private static func record(
        _ request: LocalControlRequest, _ reply: LocalControlReply, _ peer: LocalControlPeer, _ audit: AuditLog
    ) async {
        let kind: AuditRecord.Kind
        switch request {
        case .freeze(let target):
            kind = .frozen(
                AuditRecord.Freeze(
                    subject: target.description, by: peer.description, processesStopped: reply.processes.stopped,
                    processesKilled: reply.processes.killed, survivors: reply.processes.survivors,
                    elsewhere: reply.sessions.count { $0.isElsewhere }, milliseconds: reply.milliseconds))
        case .thaw(let target): kind = .thawed(subject: target.description, by: peer.description)
        case .status, .questions, .answer, .egress: return
        }
        // A log that cannot be written stops the work by itself; a freeze is done all the same.
        try? await audit.append(AuditRecord(time: Timestamp.now().description, kind: kind), durable: true)
    }

    private func one(_ item: WorkItem, _ server: ItemServer, _ registry: SessionRegistry) async -> Result<Void, any Error> {
        var item = item
        // Killed and started again for the same item: the lease goes on where it was.
        let path = server.state.journal(item.sessionID)
        if StateFolder.isSafeName(item.sessionID),
            let known = try? await Blocking.run({ () throws(FileError) in try SessionJournal.read(path)?.item }), known.workID == item.id
        {
            item.heartbeat = known.heartbeat
            item.repeatsCalls = known.repeatsCalls
            item.policyFragment = known.policyFragment
            item.isResumed = true
        }
        let failure = Mutex<String?>(nil)
        await registry.start(item) { [item] superseded in
            if case .failed(let reason) = await server.serve(item, superseded: superseded, acknowledge: { true }) {
                failure.withLock { $0 = reason }
            }
        }
        await end(registry)
        return failure.withLock { $0 }.map { .failure(Failure.item($0)) } ?? .success(())
    }

    // MARK: Polling

    private func poll(_ server: ItemServer, _ registry: SessionRegistry) async -> Result<Void, any Error> {
        logger.info("worker \(server.state.workerID) serves \(configuration.environmentID) with sandbox driver \(driver.name)")
        await resume(server, registry)
        let sweeping = Task { await sweep(server, registry) }
        let polling = Task { await Poller(server: server, registry: registry, drains: configuration.drain).run() }
        let listener = drain.onFire {
            polling.cancel()
            Task { await registry.wake() }
        }
        let failure = await polling.value
        drain.remove(listener)
        sweeping.cancel()
        await sweeping.value
        return failure.map { .failure(Failure.api($0)) } ?? .success(())
    }

    /// Takes up the items that a killed worker held.
    private func resume(_ server: ItemServer, _ registry: SessionRegistry) async {
        let state = server.state
        for session in (try? await Blocking.run({ () throws(FileError) in state.journalledSessions() })) ?? [] {
            let path = state.journal(session)
            let known: JournalState?
            do {
                known = try await Blocking.run { () throws(FileError) in try SessionJournal.read(path) }
            } catch {
                logger.error("the journal of \(session) cannot be used: \(error)")
                continue
            }
            guard let held = known?.item, held.environmentID == configuration.environmentID else { continue }
            logger.info("taking up session \(session) again")
            let item = WorkItem(
                id: held.workID, environmentID: held.environmentID, sessionID: session, secret: held.secret.map { Secret($0) },
                heartbeat: held.heartbeat, needsAck: false, isResumed: true, repeatsCalls: held.repeatsCalls,
                policyFragment: held.policyFragment)
            await registry.start(item) { superseded in _ = await server.serve(item, superseded: superseded, acknowledge: { true }) }
        }
    }

    /// Removes what is kept of sessions that are gone. A session that cannot be asked about is left.
    private func sweep(_ server: ItemServer, _ registry: SessionRegistry) async {
        let state = server.state
        for session in (try? await Blocking.run({ () throws(FileError) in state.markedWorkspaces() })) ?? [] {
            if Task.isCancelled { return }
            if await registry.serves(session) { continue }
            let isGone: Bool
            do {
                isGone = try await client.session(session)["status"]?.string == "terminated"
            } catch {
                isGone = error.status == 404
            }
            if isGone, await !registry.serves(session) {
                await Workspaces(configuration: configuration, state: state, logger: logger).remove(session)
            }
        }
    }

    // MARK: The end

    /// Waits until every session is released; once the worker drains, at most `drainTimeout`, then they are left to their leases.
    private func end(_ registry: SessionRegistry) async {
        let (pacing, limit) = (configuration.pacing, configuration.drainTimeout)
        let (fired, feed) = AsyncStream.makeStream(of: Void.self)
        let listener = drain.onFire {
            feed.yield()
            feed.finish()
        }
        let guardian = Task {
            for await _ in fired {
                do { try await pacing.sleep(limit) } catch { return }
                await registry.cancelAll()
            }
        }
        await registry.idle()
        drain.remove(listener)
        guardian.cancel()
        await guardian.value
    }
}
