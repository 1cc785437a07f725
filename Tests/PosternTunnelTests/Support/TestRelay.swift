import NIOCore
import NIOPosix
import PosternTunnelLink
import Synchronization

/// Passes TCP on to a port of this machine, keeps what passed, and can cut everything at once.
final class TestRelay: Sendable {
    private let server: NIOAsyncChannel<ByteStream, Never>
    private let target: Int
    private let state = Mutex<(bytes: [UInt8], open: [ByteStream])>(([], []))
    let port: Int

    init(to target: Int) async throws {
        self.target = target
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        port = server.channel.localAddress?.port ?? 0
    }

    /// What passed, both ways.
    var bytes: [UInt8] { state.withLock { $0.bytes } }

    /// Ends every connection that stands.
    func cut() {
        let open = state.withLock { state in
            defer { state.open = [] }
            return state.open
        }
        for stream in open { stream.close() }
    }

    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { inbound in
                for try await client in inbound {
                    group.addTask { [self] in
                        guard let upstream = try? await TunnelClient.dial(target) else { return client.close() }
                        state.withLock { $0.open += [client, upstream] }
                        await withTaskGroup(of: Void.self) { group in
                            group.addTask { await self.pass(client, upstream) }
                            group.addTask { await self.pass(upstream, client) }
                        }
                    }
                }
            }
        }
    }

    private func pass(_ from: ByteStream, _ to: ByteStream) async {
        while let bytes = try? await from.read() {
            state.withLock { $0.bytes += bytes.readableBytesView }
            guard (try? await to.write(bytes)) != nil else { break }
        }
        from.close()
        to.close()
    }
}
