import NIOCore
import NIOPosix
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternConnector

/// The time in which a leg comes back: three seconds at most. By itself in `scripts/test`, since what else runs would be measured too.
@Suite("Recovery of a leg", .timeLimit(.minutes(2)))
struct LegRecoveryTests {
    @Test("a leg that is killed comes back, and a call that comes meanwhile waits for it")
    func recovery() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        let world = try await TunnelWorld(options)
        try await world.runParts(connects: false) { world in
            let relay = try await TestRelay(to: world.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await relay.run() }
                let connector = try world.makeConnector(edge: relay.port)
                group.addTask { await connector.run() }
                await world.log.wait { $0.legs == 1 }
                for _ in 0..<3 {
                    relay.cut()
                    let start = ContinuousClock.now
                    // A call that meets the leg before the edge has heard of its end fails, since a connector may have seen it. Its caller tries again.
                    try await eventually {
                        do {
                            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                            defer { client.stream.close() }
                            return try await client.call("POST", "/echo", body: "again").body == "again"
                        } catch {
                            return false
                        }
                    }
                    #expect(ContinuousClock.now - start < .seconds(3))
                }
            }
        }
    }

    @Test("what takes connections for an edge that is away, and closes them, is no answer; what speaks is one", arguments: [false, true])
    func standIn(speaks: Bool) async throws {
        let standIn = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(StandIn(speaks: speaks)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { standIn.close(promise: nil) }
        let port = try #require(standIn.localAddress?.port)
        let world = try await TunnelWorld(TunnelWorld.Options())
        try await world.runParts(connects: false) { world in
            let (configuration, material) = try world.parts(edge: port, world.options)
            let dialer = LegDialer(
                edges: configuration.edges, tls: try material.outerTLS(), signer: material.signer, proxy: nil, resolve: { _ in [] },
                group: MultiThreadedEventLoopGroup.singleton, times: ConnectorTimes())
            let request = LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "a/0", version: "1", token: nil, certificateExpires: nil)
            do {
                _ = try await dialer.dial(configuration.edges.addresses[0], request, Leg.Events(goAway: { _ in }))
                Issue.record("a leg stands on nothing")
            } catch {
                #expect(LegUnanswered.isSaid(by: error) == !speaks, "\(type(of: error)): \(error)")
            }
        }
    }
}

/// Takes a connection and closes it, without a word or, once it was spoken to, with one that is no TLS.
private final class StandIn: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let speaks: Bool

    init(speaks: Bool) { self.speaks = speaks }

    func channelActive(context: ChannelHandlerContext) {
        if !speaks { context.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 503 Service Unavailable\r\n\r\n"), promise: nil)
        context.close(promise: nil)
    }
}
