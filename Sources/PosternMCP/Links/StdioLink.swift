import NIOCore
import NIOPosix
import PosternJSON
import Synchronization

/// The stdio transport (transports, "stdio") over a pair of descriptors, whatever process is behind them: a message a line, answers sorted by id.
package final class StdioLink: MCPLink {
    package typealias Hear = @Sendable (JSONRPCMessage) async -> Void

    private struct State {
        var demultiplexer = Demultiplexer()
        var waiters: [RequestID: Pending<Result<JSONObject, MCPError>>] = [:]
        /// Who hears of notifications, by a number of their own.
        var listeners: [Int: Hear] = [:]
        /// Who waits for the end, by the same number.
        var endings: [Int: Pending<MCPError>] = [:]
        var nextListener = 0
        /// Why nothing comes any more; nil while the server lives.
        var end: MCPError?
        /// Whether the revision that is spoken has batches.
        var hasBatches = false
        /// What came and should not have come.
        var strays = 0
    }

    private let state = Mutex(State())
    private let writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let messageLimit: Int
    private let note: @Sendable (String) -> Void
    /// By the server's command.
    package let origin: String

    package var medium: Negotiation.Medium { .stdio }

    private init(
        _ writer: NIOAsyncChannelOutboundWriter<ByteBuffer>, name: String, messageLimit: Int, note: @escaping @Sendable (String) -> Void
    ) {
        self.writer = writer
        self.messageLimit = messageLimit
        self.note = note
        origin = "stdio:\(name)"
    }

    /// Gives `body` a link over two descriptors, which are closed afterwards.
    /// - Parameters:
    ///   - output: what the server writes, to be read.
    ///   - input: what the server reads, to be written.
    ///   - note: gets remarks on what the server does wrong; text of the server is in them.
    package static func with<Value: Sendable>(
        output: CInt, input: CInt, name: String, messageLimit: Int = 16 << 20, note: @escaping @Sendable (String) -> Void = { _ in },
        _ body: @escaping @Sendable (StdioLink) async throws(MCPError) -> Value
    ) async throws(MCPError) -> Value {
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .takingOwnershipOfDescriptors(input: output, output: input) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel(
                            wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                    }
                }
        } catch {
            throw .unreachable("the server's pipes cannot be used: \(error)")
        }
        do {
            let outcome = try await channel.executeThenClose { inbound, outbound in
                let link = StdioLink(outbound, name: name, messageLimit: messageLimit, note: note)
                return await withTaskGroup(of: Result<Value, MCPError>?.self) { group in
                    group.addTask {
                        await link.read(inbound)
                        return nil
                    }
                    group.addTask {
                        do throws(MCPError) { return .success(try await body(link)) } catch { return .failure(error) }
                    }
                    var outcome: Result<Value, MCPError>?
                    while outcome == nil, let next = await group.next() { outcome = next }
                    outbound.finish()
                    group.cancelAll()
                    return outcome
                }
            }
            return try (outcome ?? .failure(.cancelled)).get()
        } catch let error as MCPError {
            throw error
        } catch {
            throw .ended("\(error)")
        }
    }

    // MARK: - Reading

    private func read(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async {
        var lines = LineReader(limit: messageLimit)
        do {
            for try await buffer in inbound {
                for line in try lines.read(Array(buffer.readableBytesView)) { await take(line) }
            }
            // Who was cancelled tells the server so, over an input that still stands.
            if !Task.isCancelled { finish(.ended("it has closed its output")) }
        } catch is CancellationError {
            return
        } catch let error as LineReader.LineTooLong {
            finish(.tooLarge("a message", limit: error.limit))
        } catch {
            finish(.ended("its output cannot be read: \(error)"))
        }
    }

    private func take(_ line: [UInt8]) async {
        let messages: [JSONRPCMessage]
        do throws(JSONRPCMessage.Malformed) {
            messages = try JSONRPCMessage.parse(line, allowsBatch: state.withLock { $0.hasBatches })
        } catch {
            return stray("the server wrote something that is no message: \(String(decoding: line.prefix(200), as: UTF8.self))")
        }
        for message in messages {
            let action = state.withLock { $0.demultiplexer.received(message) }
            switch action {
            case .answer(let id, .response(_, let result)): waiter(of: id)?.resolve(.success(result))
            case .answer(let id, .failure(_, let error)): waiter(of: id)?.resolve(.failure(.server(error)))
            case .notify(let message): for hear in state.withLock({ Array($0.listeners.values) }) { await hear(message) }
            case .reply(let message): try? await write(message)
            case .stray: stray("the server has answered something that was not asked")
            case .answer, .late: break
            }
        }
    }

    private func waiter(of id: RequestID) -> Pending<Result<JSONObject, MCPError>>? { state.withLock { $0.waiters.removeValue(forKey: id) } }

    /// Nothing but messages may stand on a server's standard output; the first lines that are none are told, since they say why one does not start.
    private func stray(_ remark: String) {
        let count = state.withLock { state in
            state.strays += 1
            return state.strays
        }
        if count <= 5 { note(remark) }
    }

    private func finish(_ error: MCPError) {
        let (waiters, endings) = state.withLock { state in
            state.end = error
            _ = state.demultiplexer.ended()
            defer { (state.waiters, state.endings) = ([:], [:]) }
            return (state.waiters, state.endings)
        }
        // What was sent may have been carried out before the end.
        let lost: MCPError = if case .ended(let reason) = error { .outcomeUnknown(reason) } else { error }
        for waiter in waiters.values { waiter.resolve(.failure(lost)) }
        for ending in endings.values { ending.resolve(error) }
    }

    // MARK: - Requests

    package func exchange(_ request: LinkRequest, hear: @escaping Hear) async throws(MCPError) -> LinkAnswer {
        let listener = add(hear)
        defer { remove(listener) }
        let pending = Pending<Result<JSONObject, MCPError>>()
        let problem: MCPError? = state.withLock { state in
            if let end = state.end { return end }
            guard state.demultiplexer.sent(request.id) else { return .refused("the id \(request.id.json.text) is in use") }
            state.waiters[request.id] = pending
            state.hasBatches = request.context.revision?.hasBatches ?? false
            return nil
        }
        if let problem { throw problem }
        defer { retire(request.id) }
        try await write(request.message)
        switch await pending.value(onCancel: .failure(.cancelled)) {
        case .success(let result): return LinkAnswer(result: result)
        case .failure(.cancelled):
            if request.canBeCancelled { await despiteCancellation { try? await self.write(.cancelled(request.id)) } }
            throw .cancelled
        case .failure(let error): throw error
        }
    }

    /// An answer that comes from now on is late.
    private func retire(_ id: RequestID) {
        state.withLock { state in
            state.demultiplexer.retire(id)
            state.waiters[id] = nil
        }
    }

    package func post(_ message: JSONRPCMessage, _ context: WireContext) async throws(MCPError) { try await write(message) }

    private func write(_ message: JSONRPCMessage) async throws(MCPError) {
        if let end = state.withLock({ $0.end }) { throw end }
        do {
            try await writer.write(ByteBuffer(bytes: message.encoded + [UInt8(ascii: "\n")]))
        } catch is CancellationError {
            throw .cancelled
        } catch {
            throw .ended("its input is closed")
        }
    }

    // MARK: - What comes unasked

    package func listen(_ context: WireContext, begun: @escaping @Sendable () async -> Void, hear: @escaping Hear) async throws(MCPError) {
        if let end = state.withLock({ $0.end }) { throw end }
        await begun()
        let listener = add(hear)
        defer { remove(listener) }
        let ending = Pending<MCPError>()
        let end = state.withLock { state in
            if state.end == nil { state.endings[listener] = ending }
            return state.end
        }
        if let end { throw end }
        throw await ending.value(onCancel: .cancelled)
    }

    /// Closing its input ends a stdio server; whoever has started it does that.
    package func end(_ context: WireContext) async {}

    private func add(_ hear: @escaping Hear) -> Int {
        state.withLock { state in
            state.nextListener += 1
            state.listeners[state.nextListener] = hear
            return state.nextListener
        }
    }

    private func remove(_ listener: Int) {
        state.withLock { state in
            state.listeners[listener] = nil
            state.endings[listener] = nil
        }
    }
}
