import Logging
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternGate
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// One item that a launcher serves: performs what `LauncherMachine` decides.
struct LaunchedItem: Sendable {
    let item: WorkItem
    let launcher: ScriptLauncher
    /// With the item's token if it has one.
    let client: ManagedAgentsClient
    let environmentKey: Secret?
    let run: LaunchedRun
    let records: LaunchRecords
    /// Told the id of the session's agent.
    let foundAgent: @Sendable (String) async -> Void
    let pacing: Pacing
    let drain: Signal
    let superseded: Signal
    let logger: Logger

    /// Matches no heartbeat: the refusal says who holds the item, and no lease changes.
    static let probe = "postern-who-holds-this"

    /// Serves the item, counted as a session of this worker for as long as its script runs.
    func serve(_ metrics: WorkerMetrics) async -> (end: SessionRunner.End, isElsewhere: Bool?) {
        metrics.began()
        let launched = await serve()
        let end: SessionRunner.End =
            switch launched {
            case .handedOver: .idle
            case .finished: .stopped
            case .superseded: .leaseLost
            case .released(nil), .lapsing(nil): .drained
            case .released(let failure?), .lapsing(let failure?): .failed("the launcher has failed: \(failure)")
            }
        metrics.ended(end)
        return (end, await mayGoOn(launched))
    }

    /// Whether what the script has started may still serve the session; `nil` where nothing was started and nothing is known anew.
    private func mayGoOn(_ end: LauncherMachine.End) async -> Bool? {
        switch end {
        case .handedOver: true
        case .superseded, .lapsing: await run.mayRunElsewhere ? true : nil
        // The item is over, or this worker holds it for its last second: another is refused.
        case .finished, .released: false
        }
    }

    /// Serves the item to its end, also while the task is cancelled: then the script is killed first.
    private func serve() async -> LauncherMachine.End {
        let (inputs, feed) = AsyncStream.makeStream(of: LauncherMachine.Input.self)
        let onSuperseded = superseded.onFire { feed.yield(.stop(.superseded)) }
        feed.yield(.begin(failures: launcher.failures(of: item.sessionID)))
        let onDrain = drain.onFire { feed.yield(.stop(.drain)) }
        // In a task of its own: what has been started must be ended, whatever happens to the caller.
        let work = Task { await perform(inputs, feed) }
        let (end, script) = await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            feed.yield(.stop(.abandon))
        }
        superseded.remove(onSuperseded)
        drain.remove(onDrain)
        await records.end(end, script: script)
        report(end)
        return end
    }

    private func perform(
        _ inputs: AsyncStream<LauncherMachine.Input>, _ feed: AsyncStream<LauncherMachine.Input>.Continuation
    ) async -> (end: LauncherMachine.End, script: LauncherMachine.ScriptEnd?) {
        let settings = launcher.configuration
        var scriptEnd: LauncherMachine.ScriptEnd?
        var machine = LauncherMachine(
            timeLimit: settings.timeLimit, handoverGrace: settings.handoverGrace, stopGrace: settings.stopGrace)
        var script: ScriptProcess?
        var timer: Task<Void, Never>?
        defer { timer?.cancel() }
        for await input in inputs {
            if case .ended(let end) = input { scriptEnd = end }
            for action in machine.apply(input, now: pacing.now()) {
                switch action {
                case .sleep(let duration):
                    timer?.cancel()
                    timer = Task { [pacing] in
                        do { try await pacing.sleep(duration) } catch { return }
                        if !Task.isCancelled { feed.yield(.timer) }
                    }
                case .run:
                    switch await launch(feed) {
                    case .success(let process)?:
                        logger.info("launched", metadata: ["pid": "\(process.pid)"])
                        script = process
                    case .failure(let failure)?:
                        timer?.cancel()
                        feed.yield(.ended(.notStarted(failure.reason)))
                    case nil:
                        timer?.cancel()
                        logger.notice("nothing is launched: an order to freeze covers the session")
                    }
                // What stands still hears no request; it ends where it stands.
                case .terminate: if await run.hears { await script?.terminate() } else { await script?.kill() }
                case .kill: await script?.kill()
                case .ask:
                    timer?.cancel()
                    feed.yield(.holder(await holder()))
                case .claim:
                    timer?.cancel()
                    feed.yield(.claimed(await claim()))
                case .end(let end):
                    // After this nobody could let it go on any more.
                    if await !run.hears { await script?.kill() }
                    return (end, scriptEnd)
                }
            }
        }
        return (.lapsing(failure: nil), scriptEnd)
    }

    /// `nil` when the session is frozen and waits.
    private func launch(
        _ feed: AsyncStream<LauncherMachine.Input>.Continuation
    ) async -> Result<ScriptProcess, ScriptProcess.StartFailure>? {
        // An order may name the agent, so nothing is launched of which it is not known.
        let session: JSONObject
        do {
            session = try await client.session(item.sessionID, options: .init(timeout: .seconds(10)))
        } catch {
            return .failure(.init(reason: "the session cannot be fetched: \(error)"))
        }
        let agent = session["agent"]?["id"]?.string
        if let agent { await foundAgent(agent) }
        return await run.launch(held: { feed.yield(.held) }, released: { feed.yield(.thawed) }) { await start(feed, agent: agent) }
    }

    private func start(
        _ feed: AsyncStream<LauncherMachine.Input>.Continuation, agent: String?
    ) async -> Result<ScriptProcess, ScriptProcess.StartFailure> {
        let settings = launcher.configuration
        guard item.secret != nil || settings.passesEnvironmentKey else {
            return .failure(.init(reason: "the item has no secret of its own; --on-work-compat gives scripts the environment key"))
        }
        do {
            try await records.begin(settings.script, agent: agent, environmentKey: settings.passesEnvironmentKey ? environmentKey : nil)
        } catch {
            return .failure(.init(reason: "what it is given cannot be recorded: \(error)"))
        }
        let mark = String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
        let variables = LauncherEnvironment.variables(settings, item, environmentKey: environmentKey?.value, mark: mark)
        let mask = OutputMask(item, environmentKey)
        let logger = logger
        return await ScriptProcess.start(
            settings.script, input: JSON.object(item.polled ?? [:]).encoded, variables: variables, mark: "\(LauncherEnvironment.mark)=\(mark)",
            onLine: { logger.info("launcher: \(mask.masked($0))") }, onEnd: { feed.yield(.ended($0)) })
    }

    // MARK: The lease

    private func holder() async -> LauncherMachine.Holder {
        do throws(ClientError) {
            let answer = try await client.heartbeatWork(
                item.id, environment: item.environmentID, expected: Self.probe, options: .init(timeout: .seconds(10)))
            // Only an item that ends is not compared.
            let state = answer["state"]?.string
            return state == "stopping" || state == "stopped" ? .over : .unknown
        } catch {
            if error.status == 404 { return .over }
            guard case .api(let failure) = error, error.status == 412, let current = failure.error.details?["current_state"] else {
                logger.warning("it is not known who holds the item: \(error)")
                return .unknown
            }
            if current["state"] == "stopped" || current["state"] == "stopping" { return .over }
            return current["last_heartbeat"]?.string.map { $0.isEmpty ? .nobody : .somebody } ?? .nobody
        }
    }

    private func claim() async -> Bool? {
        do throws(ClientError) {
            let answer = try await client.request(
                .post, "/v1/environments/\(item.environmentID)/work/\(item.id)/heartbeat",
                query: ["expected_last_heartbeat": LeaseMachine.noHeartbeat, "desired_ttl_seconds": "1"],
                options: .init(timeout: .seconds(10))
            ).object()
            let state = answer["state"]?.string
            return !(state == "stopping" || state == "stopped")
        } catch {
            if error.status == 412 || error.status == 404 { return false }
            logger.warning("the item could not be given back at once: \(error)")
            return nil
        }
    }

    private func report(_ end: LauncherMachine.End) {
        switch end {
        case .handedOver, .finished:
            launcher.succeeded(item.sessionID)
            logger.info(end == .finished ? "the launched worker has ended" : "another worker serves the session")
        case .released(let failure?), .lapsing(let failure?):
            launcher.failed(item.sessionID)
            logger.error(
                "the launcher has failed: \(failure)",
                metadata: ["item": end == .released(failure: failure) ? "back in the queue" : "back in the queue when its lease ends"])
        case .released(nil), .lapsing(nil): logger.info("the item goes back to the queue")
        case .superseded: logger.info("the session was claimed anew")
        }
    }
}

/// Keeps the item's secrets out of the log, should a script print them.
private struct OutputMask: Sendable {
    private let program: RedactionProgram?

    init(_ item: WorkItem, _ environmentKey: Secret?) {
        var rules = RedactionRules.none
        var secrets: [KnownSecret] = []
        for (name, secret) in [("work-secret", item.secret), ("sessions-token", item.sessionsToken), ("environment-key", environmentKey)] {
            guard let value = secret?.value, !value.isEmpty else { continue }
            if value.utf8.count >= KnownSecret.leastBytes {
                secrets.append(KnownSecret(name: name, value: Array(value.utf8)))
            } else {
                // Too short to be looked for in other forms; as it is, it is masked all the same.
                rules.dictionaries.append(.init(name: name, words: [value], ignoresCase: false, wholeWords: false))
            }
        }
        program = try? RedactionProgram(rules, secrets: secrets, hashKey: [])
    }

    /// Without usable rules nothing of the line is shown.
    func masked(_ line: String) -> String {
        guard let program else { return "(a line that could not be checked for secrets)" }
        return String(decoding: Redactor.redact(Array(line.utf8), program).output, as: UTF8.self)
    }
}
