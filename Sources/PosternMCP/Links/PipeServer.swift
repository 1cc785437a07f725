import PosternJSON
import Synchronization

/// What a server over stdio does for its caller; `PipeServer` does the talking.
package protocol PipeServerHandler: Sendable {
    /// What the server is, for a caller of that revision.
    func describe(for revision: Revision) async throws(RPCError) -> ServerProfile

    /// Carries out a request. Where the task is cancelled nobody waits for the result.
    /// - Parameter tell: takes notifications that belong to the request, and returns when there is room for more.
    func answer(_ call: ServerCall, tell: @escaping MCPClient.Notice) async throws(RPCError) -> JSONObject

    /// Tells when lists may have changed, until the task is cancelled or there is nothing more to tell.
    /// - Parameters:
    ///   - begun: gets those lists whose changes are told. To be called once, before any change.
    ///   - heard: gets the notifications.
    func listen(
        to kinds: [ListKind], begun: @escaping @Sendable ([ListKind]) async -> Void, _ heard: @escaping MCPClient.Notice
    ) async throws(RPCError)
}

/// An MCP server over two descriptors (transports, "stdio"): a message a line, each request a task of its own.
package final class PipeServer: Sendable {
    package struct Settings: Sendable {
        /// Longest line of the caller, in bytes. One that is longer ends the connection: where the next one begins is not known.
        package var messageLimit = 16 << 20
        /// How long requests may go on that run when the caller has said its last, and how long it may then take to read what is left.
        package var drain = Duration.seconds(10)
        /// Most bytes that wait to be written before nothing more is read.
        package var mostWaiting = 1 << 20

        package init() {}
    }

    private struct State {
        var machine = StdioServerMachine()
        var stops: [Int: Pending<Void>] = [:]
        var queue: [UInt8] = []
        var isClosed = false
        /// Who waits for room in the queue.
        var waiting: [Pending<Void>] = []
        var isDraining = false
    }

    private let state = Mutex(State())
    private let settings: Settings
    private let handler: any PipeServerHandler
    private let note: @Sendable (String) -> Void
    private let written: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let listenerStop = Pending<Void>()
    private let idle = Pending<Void>()
    /// All is written, or nobody reads it.
    private let flushed = Pending<Void>()

    /// - Parameter note: gets remarks on what goes wrong; text of the caller is not in them.
    package init(_ handler: any PipeServerHandler, settings: Settings = Settings(), note: @escaping @Sendable (String) -> Void) {
        (self.handler, self.settings, self.note) = (handler, settings, note)
        (written, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Serves until the caller closes its end, or the task is cancelled. To be called once. The descriptors stay open.
    package func run(input: CInt, output: CInt) async throws(MCPError) {
        let pipes: PipeDescriptors
        do { pipes = try PipeDescriptors(input: input, output: output) } catch { throw .unreachable("\(error)") }
        let outcome = await withTaskCancellationHandler {
            await withTaskGroup(of: MCPError?.self) { group in
                group.addTask {
                    let error = await self.serve(pipes)
                    self.wake.finish()
                    let isRead = await self.wait(for: self.flushed)
                    pipes.stop()
                    if !isRead, !Task.isCancelled { self.note("the client has not read all that was left to say") }
                    return error
                }
                group.addTask {
                    defer { self.flushed.resolve(()) }
                    guard await !self.write(to: pipes) else { return nil }
                    // Nobody reads any more: nothing that runs is of use.
                    self.close()
                    pipes.stop()
                    return .cancelled
                }
                var error: MCPError?
                for await next in group where next != nil {
                    // Why reading has failed says more than that nobody reads.
                    if error == nil || error == .cancelled { error = next }
                    // What was said before the end is still written, where somebody reads it.
                    if next == .cancelled { group.cancelAll() }
                }
                return error
            }
        } onCancel: {
            pipes.stop()
        }
        await pipes.end()
        if Task.isCancelled { throw .cancelled }
        // A caller that has closed its end has said that it is over.
        if let outcome, outcome != .cancelled { throw outcome }
    }

    // MARK: - Reading

    private func serve(_ pipes: PipeDescriptors) async -> MCPError? {
        await withDiscardingTaskGroup { group in
            var lines = LineReader(limit: settings.messageLimit)
            var failure: MCPError?
            do {
                while let bytes = try await pipes.next() {
                    for line in try lines.read(bytes) {
                        await room(orEndOf: pipes)
                        let read = StdioServerMachine.read(line)
                        perform(apply { $0.receive(read) }, &group)
                    }
                }
            } catch let error as LineReader.LineTooLong {
                failure = .tooLarge("a message of the client", limit: error.limit)
                let answer = RPCError(code: RPCError.invalidRequest, message: "a line has at most \(error.limit) bytes; the connection ends")
                _ = apply { _ in [.write(JSONRPCMessage.failure(id: nil, error: answer).encoded)] }
            } catch {
                failure = .ended("the client's messages cannot be read: \(error)")
            }
            if failure == nil { await drain(&group) }
            group.cancelAll()
            return failure
        }
    }

    private func drain(_ group: inout DiscardingTaskGroup) async {
        state.withLock { $0.isDraining = true }
        perform(apply { $0.drain() }, &group)
        listenerStop.resolve(())
        _ = await wait(for: idle)
    }

    /// Waits for it, and no longer than `drain`: whether it came.
    private func wait(for pending: Pending<Void>) async -> Bool {
        await withTaskGroup(of: Bool.self) { race in
            race.addTask {
                await pending.value(onCancel: ())
                return true
            }
            race.addTask { [settings] in
                try? await Task.sleep(for: settings.drain)
                return false
            }
            defer { race.cancelAll() }
            return await race.next() ?? false
        }
    }

    private func perform(_ actions: [StdioServerMachine.Action], _ group: inout DiscardingTaskGroup) {
        for action in actions {
            switch action {
            case .start(let call):
                let stop = state.withLock { $0.stops[call.number] }
                group.addTask { await Self.until(stop) { await self.carryOut(call) } }
            case .listen: group.addTask { [listenerStop] in await Self.until(listenerStop) { await self.listen() } }
            case .cancel(let number): state.withLock { $0.stops[number] }?.resolve(())
            case .note(let text): note(text)
            case .write: break
            }
        }
    }

    /// Does the work, which is cancelled and waited for when `stop` comes first.
    private static func until(_ stop: Pending<Void>?, _ work: @escaping @Sendable () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await work() }
            group.addTask { await stop?.value(onCancel: ()) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: - Calls

    private func carryOut(_ call: ServerCall) async {
        switch call.kind {
        case .describe:
            let outcome: Result<ServerProfile, RPCError>
            do throws(RPCError) { outcome = .success(try await handler.describe(for: call.revision)) } catch { outcome = .failure(error) }
            done(call) { $0.described(call.number, outcome) }
        case .request:
            let outcome: Result<JSONObject, RPCError>
            do throws(RPCError) {
                outcome = .success(
                    try await handler.answer(call) { name, params in await self.tell { $0.noticed(call.number, name, params) } })
            } catch {
                outcome = .failure(error)
            }
            done(call) { $0.answered(call.number, outcome) }
        case .subscribe(let kinds):
            let outcome: Result<JSONObject, RPCError>
            do throws(RPCError) {
                try await handler.listen(to: kinds, begun: { agreed in await self.tell { $0.acknowledged(call.number, agreed) } }) { name, _ in
                    guard let kind = ListKind(notification: name), kinds.contains(kind) else { return }
                    await self.tell { $0.changed(call.number, kind) }
                }
                outcome = .failure(RPCError(code: RPCError.internalError, message: "there are no more notices of changes"))
            } catch {
                outcome = .failure(error)
            }
            done(call) { $0.answered(call.number, outcome) }
        }
    }

    private func done(_ call: ServerCall, _ step: (inout StdioServerMachine) -> [StdioServerMachine.Action]) {
        _ = apply(step)
        state.withLock { $0.stops[call.number] = nil }
    }

    /// What changes, for a caller of the handshake era.
    private func listen() async {
        do throws(RPCError) {
            try await handler.listen(to: ListKind.allCases, begun: { _ in }) { name, params in
                await self.tell { machine in
                    if name == "notifications/message" { return machine.logged(params) }
                    return ListKind(notification: name).map { machine.changed($0) } ?? []
                }
            }
        } catch {
            if !Task.isCancelled { note("changes of lists are not told: \(error.message)") }
        }
    }

    private func tell(_ step: (inout StdioServerMachine) -> [StdioServerMachine.Action]) async {
        await room()
        _ = apply(step)
    }

    // MARK: - Writing

    /// One step of the machine; what it writes stands in the queue in the order of the steps. The other actions.
    private func apply(_ step: (inout StdioServerMachine) -> [StdioServerMachine.Action]) -> [StdioServerMachine.Action] {
        let actions = state.withLock { state in
            let actions = step(&state.machine)
            for action in actions {
                switch action {
                case .write(let bytes) where !state.isClosed:
                    state.queue += bytes
                    state.queue.append(UInt8(ascii: "\n"))
                case .start(let call): state.stops[call.number] = Pending()
                default: break
                }
            }
            // Without calls that could end, the end of the input is the end.
            if state.isDraining, state.machine.isIdle { idle.resolve(()) }
            return actions
        }
        wake.yield()
        return actions
    }

    /// Waits until less than `mostWaiting` bytes wait.
    private func room() async { await takeTurn()?.value(onCancel: ()) }

    /// Nil where there is room.
    private func takeTurn() -> Pending<Void>? {
        state.withLock { state in
            guard state.queue.count > settings.mostWaiting, !state.isClosed else { return nil }
            let pending = Pending<Void>()
            state.waiting.append(pending)
            return pending
        }
    }

    /// The same for the reader, which goes on too where the caller has closed its end: it would not learn of that behind a queue that nobody
    /// reads. That end cannot be waited for together with the room, and is looked at ten times in `drain`.
    private func room(orEndOf pipes: PipeDescriptors) async {
        guard let pending = takeTurn() else { return }
        await withTaskGroup(of: Void.self) { race in
            race.addTask { await pending.value(onCancel: ()) }
            race.addTask { [settings] in
                while !pipes.isInputClosed {
                    do { try await Task.sleep(for: settings.drain / 10) } catch { return }
                }
            }
            await race.next()
            race.cancelAll()
        }
    }

    /// Writes what comes until all is said; false where nobody reads any more.
    private func write(to pipes: PipeDescriptors) async -> Bool {
        for await _ in written {
            if await !flush(to: pipes) { return false }
        }
        return await flush(to: pipes)
    }

    private func flush(to pipes: PipeDescriptors) async -> Bool {
        while true {
            let (bytes, waiting) = state.withLock { state in
                defer { (state.queue, state.waiting) = ([], []) }
                return (state.queue, state.waiting)
            }
            guard !bytes.isEmpty else { return true }
            do {
                guard try await pipes.send(bytes) else { return false }
            } catch {
                note("the client reads no more: \(error)")
                return false
            }
            for pending in waiting { pending.resolve(()) }
        }
    }

    private func close() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            state.isClosed = true
            return state.waiting
        }
        for pending in waiting { pending.resolve(()) }
    }
}
