import NIOCore
import NIOPosix
import NIOSSL

/// A server that answers every connection with bytes of the test's choice, and tells when a connection is gone.
struct MisbehavingServer {
    let port: Int
    /// Yields once for each connection that the client has closed.
    let closed: AsyncStream<Void>
    /// Yields for each connection the first bytes of its request.
    let requested: AsyncStream<String>
    private let channel: any Channel
    private let end: @Sendable () -> Void

    /// - Parameters:
    ///   - closes: close the connection after the answer.
    ///   - tls: nil speaks in the clear.
    static func start(answer: String, closes: Bool, tls: NIOSSLContext? = nil) async throws -> MisbehavingServer {
        let (closed, closedContinuation) = AsyncStream.makeStream(of: Void.self)
        let (requested, requestedContinuation) = AsyncStream.makeStream(of: String.self)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.pipeline.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(
                        AnsweringHandler(answer: answer, closes: closes, closed: closedContinuation, requested: requestedContinuation))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return MisbehavingServer(port: channel.localAddress?.port ?? 0, closed: closed, requested: requested, channel: channel) {
            requestedContinuation.finish()
        }
    }

    /// Also ends ``requested``.
    func stop() async throws {
        try await channel.close()
        end()
    }
}

private final class AnsweringHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: String
    private let closes: Bool
    private let closed: AsyncStream<Void>.Continuation
    private let requested: AsyncStream<String>.Continuation
    private var hasAnswered = false

    init(answer: String, closes: Bool, closed: AsyncStream<Void>.Continuation, requested: AsyncStream<String>.Continuation) {
        self.answer = answer
        self.closes = closes
        self.closed = closed
        self.requested = requested
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasAnswered else { return }
        hasAnswered = true
        requested.yield(String(buffer: unwrapInboundIn(data)))
        if !answer.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil) }
        if closes { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { closed.yield() }
}
