import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import PosternTunnelLink

/// Two ends of a leg without TLS; the connector's writes to every stream as much as it can.
final class LegPair: Sendable {
    let edge: Leg
    private let connector: Leg
    private let written = Mutex(0)
    let read = Mutex(0)

    /// Bytes that the connector has sent and nobody has read.
    var unread: Int { written.withLock { $0 } - read.withLock { $0 } }

    private init(edge: Leg, connector: Leg) {
        self.edge = edge
        self.connector = connector
    }

    static func run(pool: WindowPool? = nil, _ body: @escaping @Sendable (LegPair) async throws -> Void) async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        try await server.executeThenClose { inbound in
            let outer = try await TunnelClient.dial(server.channel.localAddress?.port ?? 0)
            var accepted = inbound.makeAsyncIterator()
            guard let inner = try await accepted.next() else { return }
            let (calls, call) = AsyncStream<LegCall>.makeStream()
            let connector = try await Leg.begin(.connector, on: inner, rest: ByteBuffer(), .init(goAway: { _ in }, call: { call.yield($0) }))
            let edge = try await Leg.begin(.edge, on: outer, rest: ByteBuffer(), pool: pool, .init(goAway: { _ in }))
            let pair = LegPair(edge: edge, connector: connector)
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask {
                    await withDiscardingTaskGroup { writers in
                        for await call in calls { writers.addTask { await pair.fill(call) } }
                    }
                }
                try await body(pair)
                call.finish()
                edge.close()
            }
        }
    }

    /// A stream of which so many bytes were read, and no more.
    func reader(of bytes: Int) async throws -> ByteStream {
        let stream = try await edge.open(host: "h.example.com", first: ByteBuffer(string: "x"), within: .minutes(1))
        var got = 0
        while got < bytes {
            let piece = try #require(try await stream.read(within: .minutes(1)))
            got += piece.readableBytes
            read.withLock { $0 += piece.readableBytes }
        }
        return stream
    }

    /// Returns when more than so many bytes wait and everything that its windows let through has come to rest: nothing more is written.
    func rest(beyond bytes: Int) async throws {
        var last = -1
        try await eventually {
            defer { last = unread }
            return last == unread && unread > bytes
        }
    }

    private func fill(_ call: LegCall) async {
        call.accept()
        let piece = ByteBuffer(repeating: 7, count: 16_384)
        while (try? await call.stream.write(piece)) != nil { written.withLock { $0 += piece.readableBytes } }
    }
}
