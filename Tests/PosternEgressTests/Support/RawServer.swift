import NIOCore
import NIOPosix
import Synchronization

@testable import PosternEgress

/// A plain TCP server on loopback that does with each connection what a closure says.
final class RawServer: Sendable {
    private let channel: any Channel

    var port: Int { channel.localAddress?.port ?? 0 }

    static func start(_ serve: @escaping @Sendable (ByteStream) async throws -> Void) async throws -> RawServer {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Starter(serve)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RawServer(channel)
    }

    private init(_ channel: any Channel) {
        self.channel = channel
    }

    /// Serves once the channel is active: a read that is asked for earlier is lost.
    private final class Starter: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let serve: @Sendable (ByteStream) async throws -> Void

        init(_ serve: @escaping @Sendable (ByteStream) async throws -> Void) {
            self.serve = serve
        }

        func channelActive(context: ChannelHandlerContext) {
            let (channel, serve) = (context.channel, serve)
            Task {
                let stream = try await ByteStream.attach(to: channel)
                try? await serve(stream)
                stream.close()
            }
        }
    }

    func stop() async { try? await channel.close().get() }
}

/// Texts that several tasks add to.
final class TextLog: Sendable {
    private let texts = Mutex<[String]>([])

    var all: [String] { texts.withLock { $0 } }

    func append(_ text: String) { texts.withLock { $0.append(text) } }
}
