import Logging
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternAudit
import PosternGate
import PosternPolicy
import PosternSandbox
import PosternSandboxWire
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Takes items in hand: acknowledges, prepares, serves, cleans up.
struct ItemServer: Sendable {
    let configuration: WorkerConfiguration
    /// With the environment key, if there is one.
    let client: ManagedAgentsClient
    let driver: any SandboxDriver
    let state: StateFolder
    let gate: ResultGate
    let audit: AuditLog
    let desk: ApprovalDesk
    let live: LiveSessions
    /// Bytes that left through proxies, by session and day.
    let egressBook: ByteBook
    /// For whoever follows on this machine.
    let decisions: DecisionFeed
    /// The process of the sessions that share one; `nil` where this worker has no proxies.
    let sharedEgress: SharedEgress?
    let metrics: WorkerMetrics
    let drain: Signal
    let logger: Logger
    /// Set: its script does the work elsewhere, and no sandbox is started here.
    let launcher: ScriptLauncher?
    /// Fires when this worker cannot record what it does.
    let unrecordable: FailureSignal
    let backoff = SessionBackoff()

    /// Serves the item to its end. `acknowledge` is called once for an item that needs it.
    func serve(_ item: WorkItem, superseded: Signal, acknowledge: @Sendable () async -> Bool) async -> SessionRunner.End {
        var logger = logger
        logger[metadataKey: "session"] = "\(item.sessionID)"
        logger[metadataKey: "work"] = "\(item.id)"
        guard item.kind == "session", StateFolder.isSafeName(item.sessionID) else {
            if item.needsAck { guard await acknowledge() else { return .failed("not acknowledged") } }
            logger.info("an item of type '\(item.kind)' is stopped; only sessions are served")
            await stop(item, client)
            return .stopped
        }
        let token = item.sessionsToken
        if item.secret != nil, token == nil { logger.warning("the item's secret holds no sessions token; the environment key is used") }
        guard token != nil || configuration.environmentKey != nil else {
            return .failed("the item has no sessions token and no environment key is set")
        }
        let itemClient = token.map { client.with(credential: $0) } ?? client
        if let launcher {
            // A lease that this worker itself held, without a launcher: it runs out, and the item is queued again.
            if item.isResumed { return .failed("a launcher does not take up what a sandbox of this worker did") }
            let run = LaunchedRun()
            let registration = await live.add(session: item.sessionID, agent: nil, run)
            guard await (item.needsAck ? acknowledge() : true) else {
                await live.remove(registration)
                return .failed("not acknowledged")
            }
            let launched = LaunchedItem(
                item: item, launcher: launcher, client: itemClient, environmentKey: configuration.environmentKey, run: run,
                records: LaunchRecords(audit: audit, item: item, timestamp: timestamp, unrecordable: unrecordable, logger: logger),
                foundAgent: { [live] id in await live.setAgent(registration, id) }, pacing: configuration.pacing, drain: drain,
                superseded: superseded, logger: logger)
            let (end, isElsewhere) = await launched.serve(metrics)
            await live.remove(registration, isElsewhere: isElsewhere)
            return end
        }

        let rules = LiveRules()
        let broken = FailureSignal()
        let egress = configuration.egress.map { makeEgress(item, $0, itemClient, broken, logger) }
        let freezable = FreezableDriver(driver) { isPaused in await Self.hold(egress, isPaused) }
        let registration = await live.add(session: item.sessionID, agent: nil, freezable)
        let sandbox = SandboxHolder(
            driver: freezable, logger: logger, spec: { [logger] in try await self.specification(item, rules, egress, logger) },
            hasStarted: { sandbox in await egress?.attach(sandbox) })
        let path = state.journal(item.sessionID)
        async let opened = Blocking.run { () throws(FileError) in try SessionJournal(path: path) }
        guard await (item.needsAck ? acknowledge() : true) else {
            await sandbox.stop()
            await live.remove(registration)
            try? await opened.removeIfSpent()
            return .failed("not acknowledged")
        }
        let journal: SessionJournal
        do {
            journal = try await opened
            try await journal.append(
                .item(
                    workID: item.id, environmentID: item.environmentID, secret: item.secret?.value, repeatsCalls: item.repeatsCalls,
                    policyFragment: item.policyFragment))
            if let beat = item.heartbeat { try await journal.append(.beat(beat)) }
        } catch {
            logger.error("the session's journal cannot be kept: \(error)")
            await sandbox.stop()
            await live.remove(registration)
            if !item.isResumed { await stop(item, itemClient) }
            return .failed("\(error)")
        }
        metrics.began()
        logger.info("serving")
        let lease = Lease(item: item, client: itemClient, journal: journal, pacing: configuration.pacing, logger: logger)
        let agent = Mutex<String?>(nil)
        let setup = SessionSetup(
            item: item, client: itemClient, chooser: configuration.policies, rules: rules, gate: gate, audit: audit, sandbox: sandbox,
            words: configuration.dictionaryWords, timestamp: timestamp,
            foundAgent: { [live] id in
                agent.withLock { $0 = id }
                if let id { await live.setAgent(registration, id) }
            }, egress: egress, layersOff: configuration.layersOff, selfTests: configuration.selfTests, key: keyName(token), logger: logger)
        let tools = ToolPolicy(
            rules: rules, desk: desk, audit: audit, sessionID: item.sessionID, agentID: { agent.withLock { $0 } },
            patience: configuration.approvalPatience, pacing: configuration.pacing, timestamp: timestamp)
        let files = FileRecords(
            rules: rules, denials: configuration.denials, audit: audit, sessionID: item.sessionID, workID: item.id,
            outputs: state.outputs(item.sessionID), openOutput: configuration.openOutput, timestamp: timestamp)
        let calls = CallRunner(
            item: item, client: itemClient, sandbox: sandbox, tools: tools, files: files, egress: egress, journal: journal, gate: gate, lease: lease,
            toolTimeout: configuration.toolTimeout, pacing: configuration.pacing, metrics: metrics, logger: logger)
        let end = await SessionRunner(
            item: item, client: itemClient, lease: lease, journal: journal, sandbox: sandbox, calls: calls, setup: setup, broken: broken,
            unrecordable: unrecordable, backoff: backoff, maxIdle: configuration.maxIdle, pacing: configuration.pacing, drain: drain,
            superseded: superseded, logger: logger
        ).run()
        await egress?.stop()
        await live.remove(registration)
        await cleanUp(item, journal, rules, end, logger)
        metrics.ended(end)
        return end
    }

    /// The key that a session is served with, as the audit may name it.
    private func keyName(_ token: Secret?) -> String {
        if let token { return "sessions token \(audit.key.fingerprint(token.value))" }
        return "environment key \(audit.key.fingerprint(configuration.environmentKey?.value ?? ""))"
    }

    private var timestamp: @Sendable () -> String { { Timestamp.now().description } }

    /// What the sandbox of a session is to be under the rules as they are now.
    private func specification(
        _ item: WorkItem, _ rules: LiveRules, _ egress: SessionEgress?, _ logger: Logger
    ) async throws -> SandboxSpec {
        guard let policy = rules.current?.policy else { throw SandboxError(.refused, "the session's policy is not known") }
        let workspaces = Workspaces(configuration: configuration, state: state, logger: logger)
        var limits = policy.sandboxLimits
        limits.toolOutputBytes = configuration.sandboxLimits.toolOutputBytes
        var spec = SandboxSpec(
            sessionID: item.sessionID, workspace: try await workspaces.prepare(item.sessionID), toolOutputs: state.outputs(item.sessionID),
            environment: configuration.toolEnvironment + policy.variables.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
            limits: limits, offloadThreshold: configuration.offloadThreshold)
        // Driver `none` has no mounts: there files, modes and masks of a policy hold nothing back, which the worker says at its start.
        guard driver.name != "none" else { return spec }
        spec.take(policy, configuration.denials, changes: state.changes(item.sessionID))
        await egress?.view?.prepare(&spec)
        return spec
    }

    private func makeEgress(
        _ item: WorkItem, _ launcher: any EgressLauncher, _ client: ManagedAgentsClient, _ broken: FailureSignal, _ logger: Logger
    ) -> SessionEgress {
        let timestamp = timestamp
        let open = { @Sendable [sharedEgress] (mode: EgressMode) async throws -> any EgressChannel in
            if mode == .shared, let sharedEgress { return try await sharedEgress.join(item.sessionID) }
            return try await OwnEgress(session: item.sessionID, launcher: launcher)
        }
        return SessionEgress(
            item: item, open: open, find: configuration.findSecret,
            records: EgressRecords(audit: audit, sessionID: item.sessionID, workID: item.id, timestamp: timestamp), desk: desk,
            patience: configuration.approvalPatience, pacing: configuration.pacing, usage: usage(of: item), decisions: decisions,
            failed: { broken.fire($0) }, logger: logger)
    }

    /// Stops a session's traffic or lets it go on. A proxy that does not answer is ended: then nothing passes either, and the answer is `false`.
    private static func hold(_ egress: SessionEgress?, _ isPaused: Bool) async -> Bool {
        guard let egress else { return true }
        let watch = Task {
            do { try await Task.sleep(for: .milliseconds(500)) } catch { return }
            await egress.abort()
        }
        defer { watch.cancel() }
        return await isPaused ? egress.pause() : egress.resume()
    }

    private func usage(of item: WorkItem) -> EgressUsage {
        EgressUsage(book: egressBook, session: item.sessionID, day: { [timestamp] in String(timestamp().prefix(10)) })
    }

    private func cleanUp(
        _ item: WorkItem, _ journal: SessionJournal, _ rules: LiveRules, _ end: SessionRunner.End, _ logger: Logger
    ) async {
        let bytes = gate.bytesPassed(session: item.sessionID)
        let record = AuditRecord(time: timestamp(), sessionID: item.sessionID, workID: item.id, kind: .sessionStopped(reason: end.word))
        do { try await audit.append(record, durable: false) } catch { logger.error("audit: \(error)") }
        switch end {
        case .failed(let reason): logger.error("released: \(reason)", metadata: ["bytes": "\(bytes)"])
        case .leaseLost:
            logger.warning("the lease is lost; nothing more is sent for it")
            // What is known of calls stays: this worker may be given the session again.
            do { try await journal.append(.released) } catch { logger.error("journal: \(error)") }
        case .sessionEnded:
            logger.info("the session is over", metadata: ["bytes": "\(bytes)"])
            gate.forget(session: item.sessionID)
            usage(of: item).forget()
            await Workspaces(configuration: configuration, state: state, logger: logger).remove(item.sessionID)
            return
        case .idle, .drained, .stopped:
            logger.info("released", metadata: ["reason": "\(end)", "bytes": "\(bytes)"])
        }
        await scan(item, policy: rules.current?.digest, logger)
        try? await Blocking.run { () throws(FileError) in journal.removeIfSpent() }
    }

    /// Says what the session leaves that somebody outside might stumble over, before anybody reads the workspace.
    private func scan(_ item: WorkItem, policy: String?, _ logger: Logger) async {
        guard let scan = configuration.scanWorkspace else { return }
        // What a copy-on-write workspace changed lies beside it, and whoever applies the changes reads it.
        let changes = state.changes(item.sessionID)
        let hasChanges = (try? await Blocking.run { () throws(FileError) in access(changes, F_OK) == 0 }) ?? false
        // A folder that sessions share is the operator's own, of any size, and is left to `postern sandbox workspace scan`.
        var counts = configuration.sharedWorkspace ? [:] : await scan("\(configuration.workdir)/\(item.sessionID)", nil)
        if hasChanges { counts.merge(await scan(changes, "upper")) { $0 + $1 } }
        guard !counts.isEmpty else { return }
        logger.warning(
            "the workspace holds what nobody should trust",
            metadata: ["found": "\(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })"])
        let record = AuditRecord(
            time: timestamp(), sessionID: item.sessionID, workID: item.id, policy: policy, kind: .workspaceScanned(counts: counts))
        do { try await audit.append(record, durable: false) } catch { logger.error("audit: \(error)") }
    }

    private func stop(_ item: WorkItem, _ client: ManagedAgentsClient) async {
        do throws(ClientError) {
            _ = try await client.stopWork(item.id, environment: item.environmentID, force: true)
        } catch {
            if error.status != 409 { logger.warning("the item could not be stopped: \(error)") }
        }
    }
}
