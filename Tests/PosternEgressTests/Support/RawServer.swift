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
                Task {
                    let stream = try await ByteStream.attach(to: channel)
                    try? await serve(stream)
                    stream.close()
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RawServer(channel)
    }

    private init(_ channel: any Channel) {
        self.channel = channel
    }

    func stop() async { try? await channel.close().get() }
}

/// Texts that several tasks add to.
final class TextLog: Sendable {
    private let texts = Mutex<[String]>([])

    var all: [String] { texts.withLock { $0 } }

    func append(_ text: String) { texts.withLock { $0.append(text) } }
}
