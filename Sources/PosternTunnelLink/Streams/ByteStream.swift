import NIOCore
import PosternHTTP
import Synchronization

/// A connection, or a stream of a leg, as bytes that are asked for and bytes that are taken: reading and writing both wait, so a slow side
/// slows the other and neither fills memory.
package struct ByteStream: Sendable {
    package let channel: any Channel
    private let handler: NIOLoopBound<StreamHandler>

    /// Takes over a channel without a reader, which must not read by itself. To be called in its event loop.
    package static func attachInEventLoop(to channel: any Channel) throws -> ByteStream {
        let handler = StreamHandler()
        try channel.pipeline.syncOperations.addHandler(handler)
        return ByteStream(channel: channel, handler: NIOLoopBound(handler, eventLoop: channel.eventLoop))
    }

    package static func attach(to channel: any Channel) async throws -> ByteStream {
        try await channel.eventLoop.submit { try attachInEventLoop(to: channel) }.get()
    }

    /// The next bytes; `nil` when the peer has sent all. Throws what broke the connection, or `TimedOut`, after which it may be asked again.
    /// Cancelling closes the connection.
    package func read(within time: TimeAmount? = nil) async throws -> ByteBuffer? {
        // What is here already is not waited for.
        if channel.eventLoop.inEventLoop, !Task.isCancelled, let ready = handler.value.takeBuffer() { return ready }
        let promise = channel.eventLoop.makePromise(of: ByteBuffer?.self)
        return try await withTaskCancellationHandler {
            onLoop { handler in handler.read(promise, within: time) }
            return try await promise.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Where the task is on the event loop already, which is the rule, nothing waits for the loop's next turn.
    private func onLoop(_ body: @escaping @Sendable (StreamHandler) -> Void) {
        if channel.eventLoop.inEventLoop { body(handler.value) } else { channel.eventLoop.execute { body(handler.value) } }
    }

    /// Returns when the peer has ended or the connection is broken, while nobody reads. Cancelling leaves the connection as it is.
    package func ended() async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        let isCancelled = Atomic(false)
        try await withTaskCancellationHandler {
            // Who was cancelled before is not watched for: nobody would ever stop that, and what comes would be kept from its reader.
            onLoop { handler in
                if isCancelled.load(ordering: .acquiring) { promise.fail(CancellationError()) } else { handler.watchEnd(promise) }
            }
            try await promise.futureResult.get()
        } onCancel: {
            isCancelled.store(true, ordering: .releasing)
            onLoop { handler in handler.stopWatchingEnd(promise) }
        }
    }

    /// Calls `told` in the event loop when the peer has ended or the connection is broken, unless the watch is stopped before. Nobody may read meanwhile.
    package func watchEnd(_ told: @escaping @Sendable () -> Void) -> EndWatch {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess(told)
        onLoop { handler in handler.watchEnd(promise) }
        return EndWatch(stream: self, promise: promise)
    }

    /// A watch for the end of a stream.
    package struct EndWatch: Sendable {
        fileprivate let stream: ByteStream
        fileprivate let promise: EventLoopPromise<Void>

        package func stop() { stream.onLoop { handler in handler.stopWatchingEnd(promise) } }
    }

    /// Lays a connection aside on which nothing should happen: `disturbed` is called once, in the event loop, as soon as bytes come, the peer
    /// ends or the connection breaks. `wake` ends it.
    package func rest(_ disturbed: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute { handler.value.rest(disturbed) }
    }

    /// Takes a connection up again. Whether it stands and nothing has come meanwhile: what came was asked for by nobody.
    package func wake() async -> Bool {
        (try? await channel.eventLoop.submit { handler.value.wake() && channel.isActive }.get()) ?? false
    }

    /// Returns once the connection has taken the bytes. Cancelling closes the connection.
    package func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await withTaskCancellationHandler {
            try await channel.writeAndFlush(bytes).get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    package func write(_ bytes: [UInt8]) async throws { try await write(ByteBuffer(bytes: bytes)) }

    /// Says that nothing more will be sent; reading goes on.
    package func closeOutput() async {
        await withTaskCancellationHandler {
            try? await channel.close(mode: .output).get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Ends the connection. Idempotent.
    package func close() { channel.close(promise: nil) }

    /// Ends the connection after what was written has reached the peer, which may still be sending: an early close would take it away.
    package func closeGently(within time: TimeAmount = .seconds(2)) async {
        let deadline = channel.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
        await closeOutput()
        var budget = 1 << 20
        while budget > 0, let bytes = try? await read(within: time) { budget -= bytes.readableBytes }
        deadline.cancel()
        close()
    }

    /// Gives the channel back without its reader, and what was read and not taken. To be called in its event loop.
    package func detachInEventLoop() -> (removed: EventLoopFuture<Void>, rest: ByteBuffer?) {
        let rest = handler.value.takeBuffer()
        return (channel.pipeline.syncOperations.removeHandler(handler.value), rest)
    }

    /// Passes everything that comes on to `sink`, for good: the stream cannot be read any more. Returns when the peer has sent all and `sink` has
    /// taken it and was told of the end; fails with what broke either of them. More is read while `sink` owes at most `owing` bytes, so that and one
    /// read is what the direction holds. `look` sees each piece, in the event loop, and says how long to wait before more is read.
    package func pass(
        to sink: ByteStream, _ progress: PassingProgress, owing: Int, look: (@Sendable (ByteBuffer) -> Duration?)? = nil
    ) -> EventLoopFuture<Void> {
        let done = channel.eventLoop.makePromise(of: Void.self)
        channel.eventLoop.execute { [channel] in
            let unread = handler.value.takeUnread()
            let passing = PassingHandler(to: sink.channel, progress, owing: owing, look: look, done: done)
            do {
                try channel.pipeline.syncOperations.addHandler(passing, position: .after(handler.value))
                channel.pipeline.syncOperations.removeHandler(handler.value, promise: nil)
                passing.begin(unread)
            } catch {
                // The connection has ended, and its pipeline with it.
                done.fail(error)
            }
        }
        return done.futureResult
    }

    /// Ends the connection below TLS: the peer sees no `close_notify`, and so that what it got is not all. Idempotent.
    package func abort() {
        channel.eventLoop.execute { [channel] in
            let outer = (channel as? NestedChannel)?.parent ?? channel
            if let leg = try? outer.pipeline.syncOperations.handler(type: LegStreamHandler.self) { leg.abort() } else { outer.close(promise: nil) }
        }
    }

    /// Speaks TLS from here on and returns when the handshake is done, with the protocol that ALPN chose. `replay` was read already and
    /// belongs to the handshake, as does what has come since and was not asked for. Throws what the handshake failed with, or `TimedOut`; the connection is
    /// closed then.
    package func startTLS(
        replay: ByteBuffer? = nil, within time: TimeAmount, _ makeHandler: @escaping @Sendable () throws -> any ChannelInboundHandler
    ) async throws -> String? {
        let promise = channel.eventLoop.makePromise(of: String?.self)
        let deadline = channel.eventLoop.scheduleTask(in: time) {
            promise.fail(TimedOut())
            channel.close(promise: nil)
        }
        defer { deadline.cancel() }
        return try await withTaskCancellationHandler {
            channel.eventLoop.execute {
                do {
                    let pipeline = channel.pipeline.syncOperations
                    let tls = try makeHandler()
                    handler.value.watchHandshake(promise)
                    try pipeline.addHandler(tls, position: .before(handler.value))
                    let before = [replay, handler.value.takeBuffer()].compactMap(\.self)
                    if !before.isEmpty {
                        // Past what stands before it, which has seen these bytes.
                        let context = try pipeline.context(handler: tls)
                        for bytes in before { tls.channelRead(context: context, data: NIOAny(bytes)) }
                        tls.channelReadComplete(context: context)
                    }
                    channel.read()
                } catch {
                    // A connection that has ended meanwhile has no pipeline to speak TLS in.
                    promise.fail(channel.isActive ? error : ChannelError.eof)
                    channel.close(promise: nil)
                }
            }
            return try await promise.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Looks at the pipeline in its event loop.
    package func inspect<Value: Sendable>(_ body: @escaping @Sendable (ChannelPipeline.SynchronousOperations) throws -> Value) async throws -> Value {
        try await channel.eventLoop.submit { try body(channel.pipeline.syncOperations) }.get()
    }
}
