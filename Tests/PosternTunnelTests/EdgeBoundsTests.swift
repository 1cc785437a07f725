import Foundation
import NIOCore
import NIOPosix
import PosternConnector
import PosternEdge
import PosternTelemetry
import PosternTunnelWire
import Synchronization
import Testing

@testable import PosternTunnelLink

/// What an edge withstands of callers and connectors that want more than their share.
@Suite("Bounds of an edge", .timeLimit(.minutes(2)))
struct EdgeBoundsTests {
    private static func refusals(_ world: TunnelWorld, _ reason: String) -> Bool {
        world.registry.rendered().contains("postern_edge_refusals_total{reason=\"\(reason)\"}")
    }

    @Test("a caller that has its share is told so, and another one is let in")
    func callers() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.callsPerCaller = 1
        try await TunnelWorld.run(options) { world in
            world.directory.setCredential("key_other", workspaceID: TunnelWorld.workspaceID)
            let runtime = try world.runtime { $0.person = "apikey_1" }
            var first = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime)
            #expect(try await first.call("POST", "/echo", body: "1").body == "1")
            let refusal = await #expect(throws: TunnelClient.NotConnected.self) {
                _ = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime)
            }
            #expect(refusal?.status == 429 && refusal?.body.contains("rate_limit_error") == true)
            var others: [TunnelClient] = []
            for way in [TunnelClient.Way.connect("key_other"), .certified(runtime), .splice] {
                var other = try await TunnelClient.open(world, way, as: runtime)
                #expect(try await other.call("POST", "/echo", body: "2").body == "2")
                others.append(other)
            }
            // A second certificate for the same person is no second share.
            let again = try world.runtime {
                $0.person = "apikey_1"
                $0.client = "another name"
            }
            await #expect(throws: TunnelClient.NotConnected.self) { _ = try await TunnelClient.open(world, .certified(again), as: again) }
            // Nor does a second splice of one address get through.
            await #expect(throws: (any Error).self) {
                var more = try await TunnelClient.open(world, .splice, as: runtime)
                _ = try await more.call("GET", "/head")
            }
            first.stream.close()
            try await eventually {
                guard let next = try? await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime) else { return false }
                next.stream.close()
                return true
            }
            for other in others { other.stream.close() }
        }
    }

    @Test("a tunnel that calls too often is told to slow down")
    func rate() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.callsPerSecond = 1
        try await TunnelWorld.run(options) { world in
            let runtime = try world.runtime()
            var statuses: [Int] = []
            for _ in 0..<6 {
                do {
                    try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime).stream.close()
                    statuses.append(200)
                } catch let refusal as TunnelClient.NotConnected {
                    statuses.append(refusal.status)
                    #expect(refusal.body.contains("slow down"))
                }
            }
            #expect(statuses.prefix(2) == [200, 200] && statuses.contains(429), "\(statuses)")
        }
    }

    @Test("connections that say nothing use up their address's share, and not the edge")
    func silence() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.handshakesPerAddress = 4
        options.edgeLimits.hello = .seconds(60)
        try await TunnelWorld.run(options) { world in
            var silent: [ByteStream] = []
            for _ in 0..<4 { silent.append(try await TunnelClient.dial(world.port)) }
            try await eventually {
                let more = try await TunnelClient.dial(world.port)
                defer { more.close() }
                guard let answer = try? await more.read(within: .milliseconds(200)) else { return false }
                return Array(answer.readableBytesView) == TLSAlert.internalError.record
            }
            #expect(Self.refusals(world, "too_many_handshakes"))
            #expect(world.log.legs == 2, "legs have shown who they are")
            for stream in silent { stream.close() }
            let runtime = try world.runtime()
            try await eventually {
                guard var client = try? await TunnelClient.open(world, .splice, as: runtime) else { return false }
                defer { client.stream.close() }
                return try await client.call("POST", "/echo", body: "x").body == "x"
            }
        }
    }

    @Test("who drips its inner ClientHello, or sends something else, takes no stream of a leg")
    func drip() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.firstBytes = .milliseconds(400)
        try await TunnelWorld.run(options) { world in
            for (bytes, reason) in [([UInt8]([22, 3, 1, 2]), "no_first_bytes"), (Array("GET / HTTP/1.1\r\n\r\n".utf8), "not_tls")] {
                let stream = try await TunnelClient.dial(world.port)
                try await TunnelClient.connect(stream, world, "docs.\(TunnelWorld.domain)", TunnelWorld.apiKey)
                try await stream.write(bytes)
                let answer = try await stream.read(within: .seconds(10))
                #expect(answer.map { Array($0.readableBytesView) } == TLSAlert.internalError.record)
                stream.close()
                #expect(Self.refusals(world, reason))
            }
            #expect(world.log.refusals.isEmpty && world.upstream.now.connections == 0)
        }
    }

    @Test("a caller that does not read is cut after its time, and does not take its answer for whole")
    func stall() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.stall = .milliseconds(500)
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
            try await client.send("GET /large/60000000 HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\r\n")
            try await eventually { Self.refusals(world, "stalled") }
            await #expect(throws: (any Error).self) { _ = try await client.answer() }
            client.stream.close()
        }
    }

    @Test("bytes of a tunnel pass at its rate")
    func pace() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.bytesPerSecond = 400_000
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let started = ContinuousClock.now
            #expect(try await client.call("GET", "/large/2000000").body.utf8.count == 2_000_000)
            // The first second's bytes are the burst, and the last piece, a window at most, does not wait.
            #expect(ContinuousClock.now - started > .seconds(1.2))
            client.stream.close()
        }
    }

    @Test("readers that stop reading cost a leg no more than its budget, and do not hold up the others")
    func memory() async throws {
        try await LegPair.run { pair in
            let calls = 60
            var readers: [ByteStream] = []
            for _ in 0..<calls {
                let stream = try await pair.edge.open(host: "h.example.com", first: ByteBuffer(string: "x"), within: .seconds(20))
                // Long enough for the window to grow as far as it can.
                var got = 0
                while got < 4 << 20, let bytes = try await stream.read(within: .seconds(20)) {
                    got += bytes.readableBytes
                    pair.read.withLock { $0 += bytes.readableBytes }
                }
                readers.append(stream)
            }
            // Everything that its windows let through has come to rest when nothing more is written.
            var last = -1
            try await eventually {
                defer { last = pair.unread }
                return last == pair.unread
            }
            #expect(pair.unread <= LegLimits.windows + calls * LegLimits.frame, "\(pair.unread) bytes")
            #expect(pair.unread > 4 << 20)
            // One more that reads gets on.
            let late = try await pair.edge.open(host: "h.example.com", first: ByteBuffer(string: "x"), within: .seconds(20))
            var got = 0
            while got < 4 << 20, let bytes = try await late.read(within: .seconds(20)) { got += bytes.readableBytes }
            #expect(got >= 4 << 20)
            for stream in readers + [late] { stream.abort() }
        }
    }
}

/// Two ends of a leg without TLS; the connector's writes to every stream as much as it can.
private final class LegPair: Sendable {
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

    static func run(_ body: @escaping @Sendable (LegPair) async throws -> Void) async throws {
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
            let edge = try await Leg.begin(.edge, on: outer, rest: ByteBuffer(), .init(goAway: { _ in }))
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

    private func fill(_ call: LegCall) async {
        call.accept()
        let piece = ByteBuffer(repeating: 7, count: 16_384)
        while (try? await call.stream.write(piece)) != nil { written.withLock { $0 += piece.readableBytes } }
    }
}
