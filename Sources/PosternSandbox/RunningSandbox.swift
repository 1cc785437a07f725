import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire
import Synchronization

/// A sandbox that runs: the worker's end of its control socket.
package final class RunningSandbox: ListeningSandbox {
    private typealias Reply = CheckedContinuation<Result<ControlMessage, SandboxError>, Never>

    private struct State {
        var nextID = 1
        var replies: [Int: Reply] = [:]
        /// Cancelled before their reply was waited for.
        var cancelled: Set<Int> = []
        var end: String?
        var id = 0
        var user = -1
        var started: StartedSandbox?
        var listener: Int32 = -1
        var others: [Int32] = []
        var layers = SandboxLayers()
    }

    /// What the reactor's thread talks to; holds no reference back to the sandbox.
    private final class Inbox: Sendable {
        let state = Mutex(State())
        let ready = OneValue<Bool>()
        let end = OneValue<String>()

        func received(_ message: ControlMessage) {
            var message = message
            let id = message.body["id"]?.int ?? 0
            if message.body["type"] == "ready", ready.current == nil {
                let listener = message.descriptors.first ?? -1
                message.descriptors = Array(message.descriptors.dropFirst())
                let layers = SandboxLayers(ready: message.body)
                state.withLock {
                    $0.listener = listener
                    $0.layers = layers
                }
                ready.set(true)
            } else if message.body["type"] == "listeners", ready.current == nil {
                state.withLock { $0.others += message.descriptors }
                return
            } else if let reply = state.withLock({ $0.replies.removeValue(forKey: id) }) {
                reply.resume(returning: .success(message))
                return
            }
            for descriptor in message.descriptors { close(descriptor) }
        }

        func ended(_ reason: String) {
            let replies = state.withLock { state in
                state.end = reason
                defer { state.replies = [:] }
                return Array(state.replies.values)
            }
            ready.set(false)
            for reply in replies { reply.resume(returning: .failure(SandboxError(.lost, "the sandbox has ended: \(reason)"))) }
            end.set(reason)
        }
    }

    /// A start takes milliseconds; one that takes this long never ends.
    private static let startTimeout = Duration.seconds(30)

    let spawner: Spawner
    let limits: SandboxLimits
    private let inbox = Inbox()
    private let channel: ControlChannel

    init(spawner: Spawner, socket: Int32, limits: SandboxLimits) {
        self.spawner = spawner
        self.limits = limits
        let inbox = inbox
        channel = ControlChannel(socket, spawner.reactor, onMessage: { inbox.received($0) }, onEnd: { inbox.ended($0) })
        channel.open()
    }

    deinit {
        channel.close("no longer used")
        let listeners = inbox.state.withLock { [$0.listener] + $0.others }
        for listener in listeners where listener >= 0 { close(listener) }
    }

    /// The user that the sandbox runs as, outside.
    package var user: Int { inbox.state.withLock { $0.user } }

    /// The listener inside the sandbox's network namespace, on port 3128 of its loopback: what is dialled there is accepted here.
    /// -1 where there is none (driver `none`). It stays the sandbox's.
    package var listener: Int32 { inbox.state.withLock { $0.listener } }

    /// The sockets of `SandboxSpec.listeners`, in their order; none with driver `none`. They stay the sandbox's.
    package var listeners: [Int32] { inbox.state.withLock { $0.others } }

    /// The number that the spawner knows it by.
    var startedID: Int? { inbox.state.withLock { $0.started?.id } }

    /// Who enforces which limit, and which are not in force.
    package var limitReport: LimitReport { inbox.state.withLock { $0.started?.limits ?? LimitReport() } }

    /// The most memory that it has used at one time, in bytes; `nil` where nobody counts.
    package var memoryPeak: Int? { counters?.memoryPeak }

    var counters: LimitCounters? { inbox.state.withLock { $0.started?.counters } }

    /// What is in force, as the sandbox itself has said.
    package var layers: SandboxLayers { inbox.state.withLock { $0.layers } }

    func send(_ message: JSON, descriptors: [Int32] = []) { channel.send(message, descriptors: descriptors) }

    func abandon() { channel.close("not started") }

    /// Waits until the sandbox that the spawner has started answers.
    func attach(_ started: StartedSandbox) async throws(SandboxError) {
        let id = started.id
        inbox.state.withLock {
            $0.id = id
            $0.user = started.user
            $0.started = started
        }
        let inbox = inbox
        let timer = Task {
            do { try await Task.sleep(for: Self.startTimeout) } catch { return }
            inbox.ready.set(false)
        }
        defer { timer.cancel() }
        if await inbox.ready.get() { return }
        await spawner.kill(id)
        let said = await started.exit.get().errors.split(separator: "\n").joined(separator: "; ")
        throw SandboxError(.startFailed, "the sandbox did not start: \(said.isEmpty ? "no reason was given" : said)\(SandboxProbe.remedy(for: said))")
    }

    // MARK: Calls

    package func call(_ invocation: ToolInvocation) async throws(SandboxError) -> ToolOutcome {
        guard Self.isFileName(invocation.id) else {
            throw SandboxError(.refused, "the event id '\(invocation.id)' must be 1 to 128 letters, digits, '_', '-' or '.', and not begin with '.'")
        }
        let message: ControlMessage
        do throws(SandboxError) {
            message = try await request([
                "type": "call", "call": .string(invocation.id), "name": .string(invocation.name), "input": invocation.input,
            ])
        } catch {
            throw explained(error)
        }
        defer { for descriptor in message.descriptors { close(descriptor) } }
        let outcome = try Self.outcome(of: message)
        if message.body["cancelled"]?.bool == true { throw SandboxError(.cancelled, "the call was cancelled and its processes were killed") }
        let isError = outcome["is_error"]?.bool ?? true
        var content = outcome["content"]?.array ?? []
        if let counters {
            content = noticed(
                content, isError: isError, full: (message.body["full"]?.array ?? []).compactMap(\.string), limits: limits, counters: counters)
        }
        return ToolOutcome(
            content: content, isError: isError, inputBytes: invocation.input.encoded.count,
            outputBytes: outcome["bytes"]?.int ?? 0, outputLines: outcome["lines"]?.int ?? 0, offloadedTo: outcome["offloaded_to"]?.string,
            exitCode: message.body["exit_code"]?.int.flatMap { Int32(exactly: $0) }, duration: .microseconds(message.body["microseconds"]?.int ?? 0),
            timedOut: message.body["timed_out"]?.bool ?? false, refusal: outcome["refusal"]?.string.flatMap(FileRefusal.init(rawValue:)))
    }

    package func execute(_ command: [String], stdin: Int32, stdout: Int32, stderr: Int32) async throws(SandboxError) -> ExitStatus {
        guard !command.isEmpty else { throw SandboxError(.refused, "there is no command to run") }
        let copies = [stdin, stdout, stderr].map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
        guard copies.allSatisfy({ $0 >= 0 }) else {
            for copy in copies where copy >= 0 { close(copy) }
            throw SandboxError(.refused, "a descriptor given to the command is not open")
        }
        let message = try await request(["type": "execute", "arguments": .array(command.map(JSON.string))], descriptors: copies)
        for descriptor in message.descriptors { close(descriptor) }
        if let error = message.body["error"]?.string {
            guard let code = message.body["code"]?.int.flatMap({ Int32(exactly: $0) }) else { throw SandboxError(.refused, error) }
            // As a shell does it: the reason on standard error, the status as the command's own.
            let text = Array((error + "\n").utf8)
            _ = write(stderr, text, text.count)
            return .exited(code)
        }
        if Task.isCancelled { throw SandboxError(.cancelled, "the command was cancelled and everything in the sandbox was killed") }
        if let signal = message.body["signal"]?.int { return .signalled(Int32(truncatingIfNeeded: signal)) }
        return .exited(Int32(truncatingIfNeeded: message.body["status"]?.int ?? 255))
    }

    package func stop() async {
        let id = inbox.state.withLock { $0.id }
        if id > 0 { await spawner.kill(id) }
        channel.close("stopped")
    }

    package func ended() async -> String {
        let reason = await inbox.end.get()
        // The socket ends before the last process has: the session's user is free when the spawner says so.
        let id = inbox.state.withLock { $0.id }
        if id > 0 { _ = await spawner.exit(of: id) }
        return reason
    }

    /// Sends a request and waits for its reply; a cancelled task sends the cancellation and still waits, so that what it asked for is dead.
    private func request(_ body: JSONObject, descriptors: [Int32] = []) async throws(SandboxError) -> ControlMessage {
        let id = inbox.state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        var body = body
        body["id"] = JSON(id)
        let message = JSON.object(body)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (reply: Reply) in
                let refusal = inbox.state.withLock { state -> SandboxError? in
                    if state.cancelled.remove(id) != nil { return SandboxError(.cancelled, "the call was cancelled before it started") }
                    if let end = state.end { return SandboxError(.lost, "the sandbox has ended: \(end)") }
                    state.replies[id] = reply
                    return nil
                }
                guard let refusal else {
                    channel.send(message, descriptors: descriptors)
                    return
                }
                for descriptor in descriptors { close(descriptor) }
                reply.resume(returning: .failure(refusal))
            }
        } onCancel: {
            let isWaiting = inbox.state.withLock { state in
                if state.replies[id] != nil { return true }
                state.cancelled.insert(id)
                return false
            }
            if isWaiting { channel.send(["type": "cancel", "id": JSON(id)]) }
        }
        inbox.state.withLock { _ = $0.cancelled.remove(id) }
        return try result.get()
    }
}
