import Logging
import ManagedAgentsClient
import PosternAudit
import PosternGate
import PosternJSON
import PosternSandbox

/// Serves one claimed item until its session is idle, over, or not this worker's any more.
struct SessionRunner: Sendable {
    /// The tools of `agent_toolset_20260401` that run here.
    static let tools: Set<String> = ["bash", "read", "write", "edit", "glob", "grep"]

    enum End: Sendable, Equatable {
        case idle
        case sessionEnded
        case drained
        case leaseLost
        case stopped
        case failed(String)

        /// For the audit.
        var word: String {
            switch self {
            case .idle: "idle"
            case .sessionEnded: "the session is over"
            case .drained: "drained"
            case .leaseLost: "the lease is lost"
            case .stopped: "stopped"
            case .failed(let reason): "failed: \(reason)"
            }
        }
    }

    private enum Message: Sendable {
        case machine(SessionToolMachine.Input)
        /// The session's metadata is another.
        case changed
        case end(End)
    }

    let item: WorkItem
    let client: ManagedAgentsClient
    let lease: Lease
    let journal: SessionJournal
    let sandbox: SandboxHolder
    let calls: CallRunner
    let setup: SessionSetup
    /// Fires when the session's door is not watched any more.
    let broken: FailureSignal
    /// Fires when journal or audit cannot be written.
    let unrecordable: FailureSignal
    let backoff: SessionBackoff
    let maxIdle: Duration?
    let pacing: Pacing
    let drain: Signal
    /// Fires when another claim of this session is taken up here.
    let superseded: Signal
    let logger: Logger

    /// The item is acknowledged. Returns after everything is torn down and the item is stopped, except after a lost lease.
    func run() async -> End {
        let (inbox, feed) = AsyncStream.makeStream(of: Message.self)
        broken.onFire { reason in feed.yield(.end(.failed(reason))) }
        let listeners = [
            drain.onFire { feed.yield(.machine(.drain)) },
            superseded.onFire { feed.yield(.end(.leaseLost)) },
        ]
        defer {
            drain.remove(listeners[0])
            superseded.remove(listeners[1])
        }
        // An item that is taken up again may be somebody else's by now: the first beat says.
        let held = Signal()
        if !item.isResumed { held.fire() }
        return await withDiscardingTaskGroup(returning: End.self) { group in
            group.addTask { await heartbeats(feed, held) }
            group.addTask {
                await held.wait()
                if held.hasFired { await read(feed) }
            }
            let end = await loop(inbox, feed)
            if end == .leaseLost { lease.lose() }
            await sandbox.stop()
            if case .failed = end { await sitOut(backoff.failed(item.sessionID)) } else { backoff.succeeded(item.sessionID) }
            if end != .leaseLost { await stopItem() }
            group.cancelAll()
            feed.finish()
            return end
        }
    }

    private func heartbeats(_ feed: AsyncStream<Message>.Continuation, _ held: Signal) async {
        switch await lease.run(onBeat: { held.fire() }) {
        case .lost: feed.yield(.end(.leaseLost))
        case .stopping: feed.yield(.end(.stopped))
        case .refused: feed.yield(.end(.failed("the heartbeat was refused")))
        case nil: break
        }
    }

    private func read(_ feed: AsyncStream<Message>.Continuation) async {
        // Beside the opening of the stream, not before it.
        let fetching = Task { await setup.begin() }
        let fetched = { @Sendable () async -> End? in
            await withTaskCancellationHandler {
                await fetching.value
            } onCancel: {
                fetching.cancel()
            }
        }
        var detached: ClientError?
        let reader = StreamReader(sessionID: item.sessionID, client: client, pacing: pacing, logger: logger)
        await reader.run(
            mayBegin: {
                if let end = await fetched() {
                    feed.yield(.end(end))
                    return false
                }
                return true
            },
            { found in
                switch found {
                case .history(let events):
                    // What was changed while nobody listened counts too, before anything that comes after it.
                    if events.contains(where: { $0["type"]?.string == "session.updated" }) { feed.yield(.changed) }
                    feed.yield(.machine(.history(events)))
                case .historyFailed: feed.yield(.machine(.historyFailed))
                case .live(let event):
                    if event.type == "session.updated", event.json["metadata"] != nil { feed.yield(.changed) }
                    feed.yield(.machine(.live(type: event.type, event: event.json)))
                case .detached(let error): detached = error
                }
            })
        // A stream that cannot be opened may be the sign of a session that is over: then the fetch says so.
        if let detached { feed.yield(.end(await fetched() ?? .failed("the session cannot be read: \(detached)"))) }
    }

    // MARK: The loop

    private func loop(_ inbox: AsyncStream<Message>, _ feed: AsyncStream<Message>.Continuation) async -> End {
        var machine = SessionToolMachine(owned: Self.tools, maximumIdle: maxIdle)
        var tasks: [String: (task: Task<Void, Never>, control: RunningCall)] = [:]
        var timer: (deadline: Duration, task: Task<Void, Never>)?
        // Puts in force what the session was changed to; why that cannot be, where it cannot.
        var changing: Task<End?, Never>?
        var end = End.failed("cancelled")
        messages: for await message in inbox {
            let input: SessionToolMachine.Input
            switch message {
            case .end(let reason):
                end = reason
                break messages
            case .changed:
                // A call that comes after it begins when it is in force. Interrupts, and everything else, wait for nothing.
                changing = Task { [before = changing] in
                    if let reason = await before?.value { return reason }
                    // What was cut short is not in force.
                    let reason = await setup.changed() ?? (Task.isCancelled ? End.failed("cancelled") : nil)
                    if let reason { feed.yield(.end(reason)) }
                    return reason
                }
                continue
            case .machine(let value): input = value
            }
            switch input {
            case .posted(let id), .postFailed(let id): tasks[id] = nil
            case .timer: timer = nil
            default: break
            }
            for action in machine.handle(input, now: pacing.now()) {
                switch action {
                case .run(let call):
                    let control = RunningCall()
                    let task = Task { [changing] in
                        if await changing?.value == nil { await perform(call, control, feed) }
                    }
                    tasks[call.id] = (task, control)
                case .resend(let call):
                    let control = RunningCall()
                    tasks[call.id] = (Task { await resend(call, feed) }, control)
                case .cancel(let id, let answer): tasks[id]?.control.cancel(answer: answer)
                case .end(let reason):
                    switch reason {
                    case .idle: end = .idle
                    case .sessionEnded: end = .sessionEnded
                    case .drained: end = .drained
                    }
                    break messages
                }
            }
            if timer?.deadline != machine.deadline {
                timer?.task.cancel()
                timer = machine.deadline.map { deadline in
                    let wait = deadline - pacing.now()
                    let task = Task {
                        do { try await pacing.sleep(max(wait, .zero)) } catch { return }
                        feed.yield(.machine(.timer))
                    }
                    return (deadline, task)
                }
            }
        }
        timer?.task.cancel()
        if end == .leaseLost { lease.lose() }
        for (_, entry) in tasks {
            entry.control.abandon()
            entry.task.cancel()
        }
        changing?.cancel()
        for (_, entry) in tasks { await entry.task.value }
        _ = await changing?.value
        return end
    }

    private func perform(_ call: ToolCall, _ control: RunningCall, _ feed: AsyncStream<Message>.Continuation) async {
        do {
            let result = try await calls.execute(call, control)
            feed.yield(.machine(.executed(call.id)))
            guard let result, !control.isDropped else { return }
            feed.yield(.machine(try await calls.postKeeping(result) ? .posted(call.id) : .postFailed(call.id)))
        } catch {
            // What cannot be recorded must neither run nor leave, and no other session either.
            if let error = error as? FileError { unrecordable.fire("\(error)") }
            feed.yield(.end(.failed("\(error)")))
        }
    }

    private func resend(_ call: ToolCall, _ feed: AsyncStream<Message>.Continuation) async {
        do {
            feed.yield(.machine(await calls.post(try await calls.kept(call)) ? .posted(call.id) : .postFailed(call.id)))
        } catch {
            if let error = error as? FileError { unrecordable.fire("\(error)") }
            feed.yield(.end(.failed("\(error)")))
        }
    }

    /// The lease is held meanwhile. A worker that drains waits for nothing.
    private func sitOut(_ wait: Duration) async {
        guard wait > .zero else { return }
        logger.warning("the session has failed before", metadata: ["released_in": "\(wait)"])
        let pause = Task { [pacing] in try? await pacing.sleep(wait) }
        let listeners = [drain, superseded].map { signal in (signal, signal.onFire { pause.cancel() }) }
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
        for (signal, listener) in listeners { signal.remove(listener) }
    }

    private func stopItem() async {
        do throws(ClientError) {
            _ = try await client.stopWork(item.id, environment: item.environmentID, force: true)
        } catch {
            if error.status != 409 { logger.warning("the item could not be stopped: \(error)") }
        }
        do { try await journal.append(.released) } catch { logger.error("journal: \(error)") }
    }
}
