import Foundation
import NIOCore
import NIOEmbedded
import NIOPosix
import NIOSSL
import PosternConnector
import PosternTLS
import PosternTelemetry
import PosternTunnelWire
import Synchronization
import Testing

@testable import PosternEdge
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
        // Nothing is given back meanwhile, however slow the machine is.
        let clock = HandClock()
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.callsPerSecond = 1
        options.edgeLimits.clock = { clock.now }
        try await TunnelWorld.run(options) { world in
            let runtime = try world.runtime()
            var statuses: [Int] = []
            for call in 0..<6 {
                if call == 4 { clock.pass(1) }
                do {
                    try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime).stream.close()
                    statuses.append(200)
                } catch let refusal as TunnelClient.NotConnected {
                    statuses.append(refusal.status)
                    #expect(refusal.body.contains("slow down"))
                }
            }
            #expect(statuses == [200, 200, 429, 429, 200, 429])
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

    @Test(
        "who drips its inner ClientHello, or sends something else, takes no stream of a leg",
        // Only who drips is to be too slow: on a slow machine the other one would be as well.
        arguments: [([22, 3, 1, 2], "no_first_bytes", 400), (Array("GET / HTTP/1.1\r\n\r\n".utf8), "not_tls", 60_000)] as [([UInt8], String, Int64)])
    func drip(bytes: [UInt8], reason: String, milliseconds: Int64) async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.firstBytes = .milliseconds(milliseconds)
        try await TunnelWorld.run(options) { world in
            let stream = try await TunnelClient.dial(world.port)
            try await TunnelClient.connect(stream, world, "docs.\(TunnelWorld.domain)", TunnelWorld.apiKey)
            try await stream.write(bytes)
            let answer = try await stream.read(within: .seconds(60))
            #expect(answer.map { Array($0.readableBytesView) } == TLSAlert.internalError.record)
            stream.close()
            try await eventually { Self.refusals(world, reason) }
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
            for number in 0..<calls {
                // Long enough for the window to grow as far as it can: the first ones take most of the budget, the others what is left of it.
                readers.append(try await pair.reader(of: number < 8 ? 4 << 20 : 512 << 10))
            }
            try await pair.rest(beyond: 4 << 20)
            #expect(pair.unread <= LegLimits.windows + calls * LegLimits.frame, "\(pair.unread) bytes")
            #expect(pair.unread > 4 << 20)
            // One more that reads gets on.
            readers.append(try await pair.reader(of: 4 << 20))
            for stream in readers { stream.abort() }
        }
    }

    @Test("windows of all legs grow by no more than the process has for them, streams go on without, and give it back")
    func pool() async throws {
        let bytes = 4 << 20
        let pool = WindowPool(bytes)
        try await LegPair.run(pool: pool) { pair in
            let calls = 20
            var readers: [ByteStream] = []
            for _ in 0..<calls { readers.append(try await pair.reader(of: 1 << 20)) }
            try await pair.rest(beyond: 1 << 20)
            #expect(pool.free < bytes / 2 && pool.free >= 0)
            // Far less than the leg's own budget.
            #expect(pair.unread <= bytes + calls * (LegLimits.firstWindow + LegLimits.frame), "\(pair.unread) bytes")
            for stream in readers { stream.abort() }
            try await eventually { pool.free == bytes }
        }
    }

    @Test("a workspace's tunnels together have so many legs, and another workspace's have theirs; a leg that comes back takes its ghost's place")
    func legsOfWorkspace() async throws {
        try await LegPair.run { pair in
            let table = LegTable(legsPerWorkspace: 3)
            func tunnel(_ id: String, _ workspace: String) -> EdgeTunnel {
                EdgeTunnel(id: id, domain: id + ".example.com", workspaceID: workspace, splices: false, connectorKeys: ["k"])
            }
            table.replace(EdgeTunnels(revision: 1, tunnels: [tunnel("t1", "w1"), tunnel("t2", "w1"), tunnel("t3", "w2")]))
            func add(_ tunnel: String, _ name: String) throws {
                let id = table.nextID()
                try table.checkPlace(tunnelID: tunnel, connectorKey: "k", name: name, asked: id)
                try table.add(EdgeLeg(id: id, tunnelID: tunnel, connectorKey: "k", name: name, version: "1", since: 0, leg: pair.edge))
            }
            for (tunnel, name) in [("t1", "a"), ("t1", "b"), ("t2", "a"), ("t3", "a")] { try add(tunnel, name) }
            for tunnel in ["t1", "t2"] {
                let refusal = #expect(throws: LegRefusal.self) { try add(tunnel, "c") }
                #expect(refusal?.reason == .tooManyLegs && refusal?.message.contains("workspace") == true)
            }
            try add("t3", "b")
            try add("t1", "a")
            #expect(table.legs.mapValues(\.count) == ["t1": 2, "t2": 1, "t3": 2])
        }
    }

    @Test("a connector whose workspace has its legs is told so before it has one")
    func tooManyLegs() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.legsPerWorkspace = 2
        try await TunnelWorld(options).runParts { world in
            await world.log.wait { $0.legs == 2 }
            let log = EventLog()
            var others = world.options
            others.name = "other"
            let connector = try world.makeConnector(log: log, options: others)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await connector.run() }
                await log.wait { $0.legRefusals.contains("too_many_legs") }
                #expect(log.legs == 0 && world.log.legs == 2)
                group.cancelAll()
            }
        }
    }

    @Test("spliced calls leave half of a leg's streams to callers who have shown who they are")
    func streams() async throws {
        try await LegPair.run { pair in
            let leg = EdgeLeg(id: 1, tunnelID: "t", connectorKey: "k", name: "a", version: "1", since: 0, leg: pair.edge)
            for _ in 0..<LegLimits.streams / 2 { #expect(leg.enter(isSplice: true)) }
            #expect(!leg.enter(isSplice: true) && !leg.now.hasRoom(isSplice: true))
            for _ in 0..<LegLimits.streams / 2 { #expect(leg.enter(isSplice: false)) }
            #expect(!leg.enter(isSplice: false))
            leg.leave(isSplice: false, bytesIn: 0, bytesOut: 0)
            #expect(!leg.enter(isSplice: true))
            leg.leave(isSplice: true, bytesIn: 0, bytesOut: 0)
            #expect(leg.enter(isSplice: true))
        }
    }

    @Test("an address that sends ClientHellos and stops gets so many splices, and callers who have shown who they are get through")
    func unproved() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.shares.unprovedPerAddress = 2
        try await TunnelWorld.run(options) { world in
            let runtime = try world.runtime()
            // Who goes on after the server's part counts no more.
            var proved: [TunnelClient] = []
            for _ in 0..<3 {
                var client = try await TunnelClient.open(world, .splice, as: runtime)
                #expect(try await client.call("POST", "/echo", body: "1").body == "1")
                proved.append(client)
            }
            var silent: [ByteStream] = []
            for _ in 0..<2 {
                let stream = try await TunnelClient.dial(world.port)
                try await stream.write(Self.hello())
                // The server's part: the connector has the call.
                #expect(try await stream.read(within: .seconds(60)) != nil)
                silent.append(stream)
            }
            let more = try await TunnelClient.dial(world.port)
            try await more.write(Self.hello())
            let answer = try await more.read(within: .seconds(60))
            #expect(answer.map { Array($0.readableBytesView) } == TLSAlert.internalError.record)
            more.close()
            try await eventually { Self.refusals(world, "too_many_unproved") }
            var caller = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: runtime)
            #expect(try await caller.call("POST", "/echo", body: "2").body == "2")
            // What ends gives its place back.
            for stream in silent { stream.close() }
            try await eventually {
                guard var client = try? await TunnelClient.open(world, .splice, as: runtime) else { return false }
                defer { client.stream.close() }
                return try await client.call("POST", "/echo", body: "3").body == "3"
            }
            for client in proved + [caller] { client.stream.close() }
        }
    }

    /// The first record of a client that wants a route of the tunnel.
    private static func hello() throws -> ByteBuffer {
        let context = try NIOSSLContext(configuration: .makeClientConfiguration())
        let channel = EmbeddedChannel(handler: try NIOSSLClientHandler(context: context, serverHostname: "docs.\(TunnelWorld.domain)"))
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        return try #require(try channel.readOutbound(as: ByteBuffer.self))
    }
}
