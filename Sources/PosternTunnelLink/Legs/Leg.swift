import NIOCore
import NIOHTTP2
import PosternTunnelWire

/// One leg after its `101`: an HTTP/2 connection on which the edge is the client and the connector the server.
package struct Leg: Sendable {
    package let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let windows: NIOLoopBound<LegWindows>

    /// Whose end of the leg it is.
    package enum Side: Sendable { case edge, connector }

    /// What a leg tells while it stands. Called on its event loop.
    package struct Events: Sendable {
        /// The peer takes no further streams beyond this number.
        package var goAway: @Sendable (Int) -> Void
        /// The edge asks for a stream; at a connector only.
        package var call: @Sendable (LegCall) -> Void
        /// The edge says that there is news of the tunnel's registrations; at a connector only.
        package var news: @Sendable () -> Void

        package init(
            goAway: @escaping @Sendable (Int) -> Void, call: @escaping @Sendable (LegCall) -> Void = { $0.refuse() },
            news: @escaping @Sendable () -> Void = {}
        ) {
            self.goAway = goAway
            self.call = call
            self.news = news
        }
    }

    /// Times, of which tests shorten some.
    package struct Times: Sendable {
        package var ping = TimeAmount.seconds(Int64(LegLimits.pingSeconds))
        package var pong = TimeAmount.seconds(Int64(LegLimits.pongSeconds))

        package init() {}
    }

    /// Turns a connection into a leg. The channel has been read up to the end of the `101` or of what asked for it; what was read beyond it is
    /// the leg's.
    /// - Parameter pool: bounds by how much the windows of this leg and of others may grow together.
    package static func begin(
        _ side: Side, on stream: ByteStream, rest: ByteBuffer, times: Times = Times(), pool: WindowPool? = nil, _ events: Events
    )
        async throws -> Leg
    {
        let channel = stream.channel
        let loop = channel.eventLoop
        LegSocket.watch(channel)
        return try await loop.flatSubmit {
            let (removed, unread) = stream.detachInEventLoop()
            return removed.flatMapThrowing {
                let windows = NIOLoopBound(LegWindows(pool: pool), eventLoop: loop)
                let handler = NIOHTTP2Handler(
                    mode: side == .edge ? .client : .server, eventLoop: loop, connectionConfiguration: connection, streamConfiguration: streams,
                    inboundStreamInitializer: { stream in
                        stream.eventLoop.makeCompletedFuture { try LegCall.attach(to: stream, windows.value, events.call) }
                    })
                let pipeline = channel.pipeline.syncOperations
                try pipeline.addHandler(LegWriteHandler())
                try pipeline.addHandler(handler)
                try pipeline.addHandler(LegControlHandler(interval: times.ping, patience: times.pong, onGoAway: events.goAway, onNews: events.news))
                let leg = Leg(channel: channel, multiplexer: try handler.syncMultiplexer(), windows: windows)
                var first = rest
                if let unread { first.writeImmutableBuffer(unread) }
                if first.readableBytes > 0 {
                    let context = try pipeline.context(handler: handler)
                    handler.channelRead(context: context, data: NIOAny(first))
                    handler.channelReadComplete(context: context)
                }
                return leg
            }.flatMap { leg in
                // A leg has no use with one direction only. As long as a channel may be half closed, TLS takes the peer's farewell for the end of
                // one direction, and a leg that was closed here would stand, with its streams, until TLS has waited its time.
                channel.setOption(.allowRemoteHalfClosure, value: false).flatMap { channel.setOption(.autoRead, value: true) }.map { leg }
            }
        }.get()
    }

    /// Opens a stream towards `host` and sends `first` with it: opening costs no round trip. Returns when the connector has answered.
    package func open(host: String, first: ByteBuffer, within time: TimeAmount) async throws(LegStreamError) -> ByteStream {
        let opened = channel.eventLoop.makePromise(of: Void.self)
        let stream: ByteStream
        do {
            stream = try await create(host, opened)
        } catch {
            opened.fail(LegStreamError.refused)
            // The leg ended, or takes no more streams: nothing of this one was sent.
            throw .refused
        }
        let deadline = channel.eventLoop.scheduleTask(in: time) {
            opened.fail(LegStreamError.timedOut)
            stream.abort()
        }
        defer { deadline.cancel() }
        // Whether it was written the answer tells.
        stream.channel.writeAndFlush(first, promise: nil)
        do {
            try await withTaskCancellationHandler {
                try await opened.futureResult.get()
            } onCancel: {
                stream.abort()
            }
            return stream
        } catch {
            stream.abort()
            throw error as? LegStreamError ?? .broken("\(error)")
        }
    }

    private func create(_ host: String, _ opened: EventLoopPromise<Void>) async throws -> ByteStream {
        let attached = channel.eventLoop.makePromise(of: ByteStream.self)
        let created = channel.eventLoop.makePromise(of: (any Channel).self)
        created.futureResult.whenFailure { attached.fail($0) }
        let windows = windows
        multiplexer.createStreamChannel(promise: created) { stream in
            stream.eventLoop.makeCompletedFuture {
                // On a leg that has ended a stream would wait for its beginning for ever.
                guard stream.parent?.isActive == true else { throw LegStreamError.refused }
                try stream.syncOptions?.setOption(.autoRead, value: false)
                try stream.pipeline.syncOperations.addHandler(
                    LegStreamHandler(.caller(authority: ConnectTarget.text(host), opened: opened), windows.value))
                attached.succeed(try ByteStream.attachInEventLoop(to: stream))
                // The connector's answer, which nobody asks for otherwise.
                stream.read()
            }
        }
        return try await attached.futureResult.get()
    }

    /// Tells the peer that no further streams are taken; those that stand go on (RFC 9113, section 6.8).
    package func sayGoodbye() {
        channel.writeAndFlush(
            HTTP2Frame(streamID: .rootStream, payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil)), promise: nil)
    }

    /// Tells a connector that there is news of its tunnel's registrations: by a PING with data of its own, which older ones just answer.
    package func tellNews() {
        channel.writeAndFlush(
            HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: LegControlHandler.news), ack: false)), promise: nil)
    }

    package func close() { channel.close(promise: nil) }

    /// Returns when the leg has ended.
    package func ended() async { try? await channel.closeFuture.get() }

    private static var connection: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: LegLimits.streams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: LegLimits.headers),
            HTTP2Setting(parameter: .initialWindowSize, value: LegLimits.firstWindow),
            HTTP2Setting(parameter: .maxFrameSize, value: LegLimits.frame),
        ]
        configuration.targetWindowSize = LegLimits.connectionWindow
        return configuration
    }

    private static var streams: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        // Streams renew their windows themselves, by what the leg as a whole has left: see `WindowBudget`.
        configuration.targetWindowSize = 0
        configuration.outboundBufferSizeHighWatermark = LegLimits.writeBuffer
        configuration.outboundBufferSizeLowWatermark = LegLimits.writeBuffer / 2
        // Each call that somebody breaks off is a reset; a leg carries many callers.
        configuration.streamResetFrameRateLimit.maximumCount = 5000
        configuration.streamResetFrameRateLimit.windowLength = .seconds(10)
        return configuration
    }
}

/// A stream that an edge asks a connector for. To be answered once.
package struct LegCall: Sendable {
    /// As it came: `host:443`.
    package let authority: String
    package let stream: ByteStream
    private let handler: NIOLoopBound<LegStreamHandler>

    static func attach(to channel: any Channel, _ windows: LegWindows, _ call: @escaping @Sendable (LegCall) -> Void) throws {
        try channel.syncOptions?.setOption(.autoRead, value: false)
        let pipeline = channel.pipeline.syncOperations
        let opening = LegOpening(call)
        let handler = LegStreamHandler(.callee { opening.asked($0) }, windows)
        try pipeline.addHandler(handler)
        let inner = NestedChannel(in: channel)
        try pipeline.addHandler(inner.handler)
        opening.call = LegCall.Unasked(stream: try ByteStream.attachInEventLoop(to: inner), handler: handler)
        // The head of the stream, without which nobody knows of it.
        channel.read()
    }

    /// Opens the stream.
    package func accept() { onLoop { $0.answer(200) } }

    /// Ends it with a status.
    package func reject(_ status: Int) { onLoop { $0.answer(status) } }

    /// Ends it as one that was not looked at: the edge may ask another leg.
    package func refuse() { onLoop { $0.abort(.refusedStream) } }

    private func onLoop(_ body: @escaping @Sendable (LegStreamHandler) -> Void) { stream.channel.eventLoop.execute { body(handler.value) } }

    fileprivate struct Unasked {
        let stream: ByteStream
        let handler: LegStreamHandler
    }

    fileprivate init(authority: String, _ unasked: Unasked) {
        self.authority = authority
        stream = unasked.stream
        handler = NIOLoopBound(unasked.handler, eventLoop: unasked.stream.channel.eventLoop)
    }
}

/// Joins a stream's head with the stream. Used on its event loop only.
private final class LegOpening {
    private let give: @Sendable (LegCall) -> Void
    var call: LegCall.Unasked?

    init(_ give: @escaping @Sendable (LegCall) -> Void) { self.give = give }

    func asked(_ authority: String) {
        guard let call else { return }
        give(LegCall(authority: authority, call))
        self.call = nil
    }
}
