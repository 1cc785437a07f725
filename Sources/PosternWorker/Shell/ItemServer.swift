import ManagedAgentsAPI
import ManagedAgentsClient
import Logging
import PosternAudit
import PosternGate
import PosternSandbox

/// Takes items in hand: acknowledges, prepares, serves, cleans up.
struct ItemServer: Sendable {
    let configuration: WorkerConfiguration
    /// With the environment key, if there is one.
    let client: ManagedAgentsClient
    let driver: any SandboxDriver
    let state: StateFolder
    let gate: ResultGate
    let statistics: StatisticsBox
    let drain: Signal
    let logger: Logger

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

        // The workspace is made and the sandbox starts while the service is asked.
        let workspaces = Workspaces(configuration: configuration, state: state, logger: logger)
        let (configuration, state) = (configuration, state)
        let sandbox = SandboxHolder(driver: driver, logger: logger) {
            SandboxSpec(
                sessionID: item.sessionID, workspace: try await workspaces.prepare(item.sessionID), toolOutputs: state.outputs(item.sessionID),
                environment: configuration.toolEnvironment, limits: configuration.sandboxLimits, offloadThreshold: configuration.offloadThreshold)
        }
        await sandbox.prepare()
        let path = state.journal(item.sessionID)
        async let opened = Blocking.run { () throws(FileError) in try SessionJournal(path: path) }
        guard await (item.needsAck ? acknowledge() : true) else {
            await sandbox.stop()
            try? await opened.removeIfSpent()
            return .failed("not acknowledged")
        }
        let journal: SessionJournal
        do {
            journal = try await opened
            try await journal.append(
                .item(workID: item.id, environmentID: item.environmentID, secret: item.secret?.value, repeatsCalls: item.repeatsCalls))
            if let beat = item.heartbeat { try await journal.append(.beat(beat)) }
        } catch {
            logger.error("the session's journal cannot be kept: \(error)")
            await sandbox.stop()
            if !item.isResumed { await stop(item, itemClient) }
            return .failed("\(error)")
        }
        statistics.update { statistics in
            statistics.sessions += 1
            statistics.active += 1
        }
        defer { statistics.update { $0.active -= 1 } }
        logger.info("serving")
        let lease = Lease(item: item, client: itemClient, journal: journal, pacing: configuration.pacing, logger: logger)
        let calls = CallRunner(
            item: item, client: itemClient, sandbox: sandbox, journal: journal, gate: gate, lease: lease, toolTimeout: configuration.toolTimeout,
            pacing: configuration.pacing, statistics: statistics, logger: logger)
        let end = await SessionRunner(
            item: item, client: itemClient, lease: lease, journal: journal, sandbox: sandbox, calls: calls, maxIdle: configuration.maxIdle,
            pacing: configuration.pacing, drain: drain, superseded: superseded, logger: logger
        ).run()
        await cleanUp(item, journal, end, logger)
        return end
    }

    private func cleanUp(_ item: WorkItem, _ journal: SessionJournal, _ end: SessionRunner.End, _ logger: Logger) async {
        let bytes = gate.forget(session: item.sessionID)
        switch end {
        case .failed(let reason): logger.error("released: \(reason)", metadata: ["bytes": "\(bytes)"])
        case .leaseLost:
            logger.warning("the lease is lost; nothing more is sent for it")
            // What is known of calls stays: this worker may be given the session again.
            do { try await journal.append(.released) } catch { logger.error("journal: \(error)") }
        case .sessionEnded:
            logger.info("the session is over", metadata: ["bytes": "\(bytes)"])
            await Workspaces(configuration: configuration, state: state, logger: logger).remove(item.sessionID)
            return
        case .idle, .drained, .stopped: logger.info("released", metadata: ["reason": "\(end)", "bytes": "\(bytes)"])
        }
        try? await Blocking.run { () throws(FileError) in journal.removeIfSpent() }
    }

    private func stop(_ item: WorkItem, _ client: ManagedAgentsClient) async {
        do throws(ClientError) {
            _ = try await client.stopWork(item.id, environment: item.environmentID, force: true)
        } catch {
            if error.status != 409 { logger.warning("the item could not be stopped: \(error)") }
        }
    }
}
