import NIOCore
import NIOSSL

/// A connection as bytes that are asked for and bytes that are taken: reading and writing both wait, so a slow side slows the other.
struct ByteStream: Sendable {
    let channel: any Channel
    private let handler: NIOLoopBound<StreamHandler>

    /// Takes over a connected channel without handlers that does not read by itself.
    static func attach(to channel: any Channel) async throws -> ByteStream {
        try await channel.eventLoop.submit {
            let handler = StreamHandler()
            try channel.pipeline.syncOperations.addHandler(handler)
            return ByteStream(channel: channel, handler: NIOLoopBound(handler, eventLoop: channel.eventLoop))
        }.get()
    }

    /// The next bytes; `nil` when the peer has sent all. Throws what broke the connection, or `TimedOut`. Cancelling closes the connection.
    func read(within time: TimeAmount? = nil) async throws -> ByteBuffer? {
        let promise = channel.eventLoop.makePromise(of: ByteBuffer?.self)
        return try await withTaskCancellationHandler {
            channel.eventLoop.execute { handler.value.read(promise, within: time) }
            return try await promise.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// The next bytes, none where nothing comes within `time`; `nil` when the peer has sent all. Reading may go on after it.
    func poll(for time: TimeAmount) async throws -> ByteBuffer? {
        let promise = channel.eventLoop.makePromise(of: ByteBuffer?.self)
        return try await withTaskCancellationHandler {
            channel.eventLoop.execute { handler.value.read(promise, within: time, endsInTime: false) }
            return try await promise.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Returns once the connection has taken the bytes. Cancelling closes the connection.
    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await withTaskCancellationHandler {
            try await channel.writeAndFlush(bytes).get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    func write(_ bytes: [UInt8]) async throws { try await write(ByteBuffer(bytes: bytes)) }

    /// Says that nothing more will be sent; reading goes on.
    func closeOutput() async {
        await withTaskCancellationHandler {
            try? await channel.close(mode: .output).get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Ends the connection. Idempotent.
    func close() { channel.close(promise: nil) }

    /// Ends the connection at its socket: nothing more passes, not even the farewell of TLS, which could wait for the peer. Idempotent.
    func abort() {
        channel.eventLoop.execute { [channel] in
            if let valve = try? channel.pipeline.syncOperations.handler(type: PauseValve.self) { valve.abort() } else { channel.close(promise: nil) }
        }
    }

    /// Ends the connection after what was written has reached the peer, which may still be sending: an early close would take it away.
    func closeGently(within time: TimeAmount = .seconds(2)) async {
        let deadline = channel.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
        await closeOutput()
        var budget = 1 << 20
        while budget > 0, let bytes = try? await read(within: time) { budget -= bytes.readableBytes }
        deadline.cancel()
        close()
    }

    /// Gives the channel back without handlers.
    func detach() async throws {
        try await channel.eventLoop.submit { channel.pipeline.syncOperations.removeHandler(handler.value) }.get().get()
    }

    /// Speaks TLS from here on. `replay` was read already and belongs to the handshake.
    func startTLS(replay: ByteBuffer? = nil, _ makeHandler: @escaping @Sendable () throws -> NIOSSLHandler) async throws {
        try await channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            // Behind the valve, so that a paused connection holds records of TLS too.
            let valve = try? pipeline.handler(type: PauseValve.self)
            try pipeline.addHandler(try makeHandler(), position: valve.map { .after($0) } ?? .first)
            if let replay {
                pipeline.fireChannelRead(NIOAny(replay))
                pipeline.fireChannelReadComplete()
            }
            // The handshake reads by itself from here on; a write waits for it, and nobody else may be reading.
            channel.read()
        }.get()
    }
}
