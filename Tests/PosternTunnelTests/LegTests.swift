import Crypto
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PosternEdge
import PosternHTTP
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternConnector

/// Legs: how they are let in, cut and come back.
@Suite("Legs", .timeLimit(.minutes(2)))
struct LegTests {
    @Test("a key that is not enrolled is refused, and enrolled by the tunnel token")
    func enrolment() async throws {
        var options = TunnelWorld.Options()
        options.isEnrolled = false
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await client.call("POST", "/echo", body: "x").body == "x")
            client.stream.close()
        }
    }

    @Test("without a token, or with one that does not count, no leg stands", arguments: ["none", "unknown", "rotated", "archived"])
    func refusals(kind: String) async throws {
        var options = TunnelWorld.Options()
        options.isEnrolled = false
        options.hasToken = kind != "none"
        options.legs = 1
        let world = try await TunnelWorld(options)
        switch kind {
        case "unknown": world.directory.setToken(TunnelWorld.token, tunnelID: "tnl_none")
        case "rotated": world.directory.rotate(TunnelWorld.token)
        case "archived": world.directory.change { $0 = [] }
        default: break
        }
        let expected: LegRefusal.Reason =
            switch kind {
            case "rotated": .tokenRotated
            case "archived": .tunnelArchived
            default: .notEnrolled
            }
        try await world.runParts { world in
            await world.log.wait { !$0.legRefusals.isEmpty }
            #expect(world.log.legRefusals == [expected.rawValue])
            #expect(world.log.legs == 0)
        }
    }

    @Test("a leg needs the connector's key, and the key of the tunnel it names")
    func keys() async throws {
        try await TunnelWorld.run { world in
            let request = LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "thief/0", version: "x", token: nil).encoded(host: TunnelWorld.edgeName)
            // No certificate at all.
            let bare = try await TunnelClient.dial(world.port)
            try await TunnelClient.outer(bare, world)
            try await bare.write(request)
            var reader = MessageReader(bare)
            let answer = try await TunnelClient.read(&reader, method: "POST")
            #expect(answer.status == 403 && answer.body.contains("no_connector_key"))
            bare.close()
            // A key of the thief's own.
            let other = try ConnectorCertificates.connector(now: Date())
            let thief = try await TunnelClient.dial(world.port)
            try await TunnelClient.outer(
                thief, world, certificate: try .init(bytes: Array(other.certificatePEM.utf8), format: .pem),
                key: try .init(bytes: Array(other.keyPEM.utf8), format: .pem))
            try await thief.write(request)
            reader = MessageReader(thief)
            let refused = try await TunnelClient.read(&reader, method: "POST")
            #expect(refused.status == 403 && refused.body.contains("not_enrolled"))
            thief.close()
            // The legs that stand have not noticed.
            #expect(world.log.legs == 2)
        }
    }

    @Test("a revoked key, an archived tunnel and splicing turned off cut what runs at once")
    func cuts() async throws {
        try await TunnelWorld.run { world in
            // Splicing off: the spliced call ends, the other one goes on.
            var spliced = try await TunnelClient.open(world, .splice, as: try world.runtime())
            var connected = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
            #expect(try await spliced.call("POST", "/echo", body: "1").body == "1")
            #expect(try await connected.call("POST", "/echo", body: "2").body == "2")
            world.directory.change(TunnelWorld.tunnelID) { $0.splices = false }
            await Self.isCut(spliced)
            #expect(try await connected.call("POST", "/echo", body: "3").body == "3")
            // Archived: everything ends.
            world.directory.change { $0 = [] }
            await Self.isCut(connected)
            await world.log.wait { $0.legs == 0 && $0.legRefusals.contains("tunnel_archived") }
        }
    }

    @Test("a revoked key loses its legs")
    func revocation() async throws {
        var options = TunnelWorld.Options()
        options.hasToken = false
        try await TunnelWorld.run(options) { world in
            world.directory.change(TunnelWorld.tunnelID) { $0.connectorKeys = [] }
            await world.log.wait { $0.legs == 0 && $0.legRefusals.contains("not_enrolled") }
        }
    }

    /// Whoever has stolen the tunnel's token has enrolled a key of its own, and answers with a certificate of its own.
    @Test("a leg whose callers do not believe it gets no more than a few calls beside one that they believe")
    func foreignLegs() async throws {
        try await TunnelWorld.run { world in
            let key = try ConnectorCertificates.connector(now: Date())
            let authority = try ConnectorCertificates.authority(domain: TunnelWorld.domain, now: Date())
            let server = try ConnectorCertificates.server(domain: TunnelWorld.domain, authority: authority, now: Date())
            // A call that runs keeps the good key behind the thief's, which has none.
            let runtime = try world.runtime()
            var running = try await TunnelClient.open(world, .certified(runtime), as: runtime)
            #expect(try await running.call("POST", "/echo", body: "x").body == "x")
            let log = EventLog()
            var options = world.options
            options.legs = 8
            options.name = "thief"
            let thief = try world.makeConnector(
                log: log, options: options,
                files: [
                    "connector.key": key.keyPEM, "connector.pem": key.certificatePEM, "server.pem": server.certificatePEM,
                    "server.key": server.keyPEM,
                ])
            await withTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { await thief.run() }
                await log.wait { $0.legs == 8 }
                func call(_ way: TunnelClient.Way) async -> Bool {
                    guard var client = try? await TunnelClient.open(world, way, as: runtime) else { return false }
                    defer { client.stream.close() }
                    return (try? await client.call("POST", "/echo", body: "y").body) == "y"
                }
                // What spliced callers meet is no evidence: anybody can be one.
                var spliced = 0
                for _ in 0..<6 { spliced += await call(.splice) ? 0 : 1 }
                #expect(spliced > 1 && !world.registry.rendered().contains("postern_edge_doubted_keys_total 1"))
                var outcomes: [Bool] = []
                for _ in 0..<12 { outcomes.append(await call(.certified(runtime))) }
                // Two in a row make it doubted; the edge hears of a failure a moment after its caller.
                #expect((2...4).contains(outcomes.count { !$0 }) && outcomes.suffix(6).allSatisfy(\.self), "\(outcomes)")
                for _ in 0..<3 { #expect(await call(.splice)) }
                #expect(world.registry.rendered().contains("postern_edge_doubted_keys_total 1"))
                // Where there is nobody else, even a doubted key is asked.
                running.stream.close()
                world.directory.change(TunnelWorld.tunnelID) { tunnel in
                    tunnel.connectorKeys = tunnel.connectorKeys.filter { $0 == Self.fingerprint(of: key) }
                }
                await world.log.wait { $0.legs == 0 }
                let started = ContinuousClock.now
                #expect(await call(.certified(runtime)) == false)
                // Without any leg it would have waited for one.
                #expect(ContinuousClock.now - started < .seconds(8))
            }
        }
    }

    private static func fingerprint(of key: ConnectorCertificates.Made) -> String {
        (try? P256.Signing.PrivateKey(pemRepresentation: key.keyPEM)).map { ConnectorKey($0.publicKey).fingerprint } ?? ""
    }

    private static func isCut(_ client: TunnelClient) async {
        do {
            while let bytes = try await client.stream.read(within: .seconds(10)) { _ = bytes }
        } catch {
            #expect(!(error is TimedOut))
        }
        client.stream.close()
    }

    @Test("without a connector a call fails after its wait")
    func noConnector() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.reconnect = .milliseconds(200)
        let world = try await TunnelWorld(options)
        try await world.runParts(connects: false) { world in
            await #expect(throws: (any Error).self) { _ = try await TunnelClient.open(world, .splice, as: try world.runtime()) }
            #expect(world.registry.rendered().contains("postern_edge_refusals_total{reason=\"no_connector\"} 1"))
        }
    }

    @Test("a connector that is asked to end lets its calls end, and another one takes the next")
    func drain() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        let world = try await TunnelWorld(options)
        try await world.runParts(connects: false) { world in
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                let first = try world.makeConnector()
                group.addTask { await first.run() }
                await world.log.wait { $0.legs == 1 }
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                try await client.send("GET /events HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nConnection: close\r\n\r\n")
                _ = try await client.head()
                let draining = Task { await first.drain() }
                // Under another name, so that it is no ghost of the first one.
                let log = EventLog()
                var second = world.options
                second.name = "second"
                let next = try world.makeConnector(log: log, options: second)
                group.addTask { await next.run() }
                await log.wait { $0.legs == 1 }
                var other = try await TunnelClient.open(world, .splice, as: try world.runtime())
                #expect(try await other.call("POST", "/echo", body: "x").body == "x")
                world.upstream.go.open()
                let rest = try await client.stream.read(within: .seconds(10))
                #expect(rest != nil)
                await draining.value
                other.stream.close()
                client.stream.close()
            }
        }
    }

    @Test("a stream that a connector refuses unopened goes to another leg")
    func refused() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        let world = try await TunnelWorld(options)
        try await world.runParts(connects: false) { world in
            let (configuration, material) = try world.parts(world.options)
            let dialer = LegDialer(
                edges: configuration.edges, tls: try material.outerTLS(), signer: material.signer, proxy: nil, resolve: { _ in [] },
                group: MultiThreadedEventLoopGroup.singleton,
                times: ConnectorTimes())
            let asked = EventCounter()
            let events = Leg.Events(
                goAway: { _ in },
                call: { call in
                    asked.add()
                    call.refuse()
                })
            let request = LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "refuser/0", version: "x", token: nil)
            try await eventually {
                // The edge may not have heard of its tunnels yet.
                do { _ = try await dialer.dial(configuration.edges.addresses[0], request, events) } catch { return false }
                return true
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                let connector = try world.makeConnector()
                group.addTask { await connector.run() }
                await world.log.wait { $0.legs == 1 }
                for index in 0..<4 {
                    var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                    #expect(try await client.call("POST", "/echo", body: "\(index)").body == "\(index)")
                    client.stream.close()
                }
            }
            #expect(asked.count > 0)
        }
    }

    @Test("who does not read holds his own call back, and no other")
    func backPressure() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld.run(options) { world in
            let size = 96 << 20
            var slow = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await slow.send("GET /large/\(size) HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\r\n")
            _ = try await slow.head()
            var other = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
            for index in 0..<50 { #expect(try await other.call("POST", "/echo", body: "\(index)").body == "\(index)") }
            // Windows of the leg and buffers of sockets are full, and no more is taken.
            #expect(world.upstream.now.sent < size / 3)
            slow.stream.close()
            other.stream.close()
        }
    }

    @Test("a leg that is closed ends with its peer's farewell: its TLS waits for nothing after that")
    func farewell() async throws {
        try await TunnelWorld.run { world in
            let dialled = try await TunnelClient.dial(world.port)
            try await TunnelClient.outer(
                dialled, world, certificate: try .init(bytes: Array(world.connectorKey.certificatePEM.utf8), format: .pem),
                key: try .init(bytes: Array(world.connectorKey.keyPEM.utf8), format: .pem), farewell: .hours(1))
            try await dialled.write(
                LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "other/0", version: "x", token: nil).encoded(host: TunnelWorld.edgeName))
            var reader = MessageReader(dialled)
            let lines = try #require(try await reader.head(idle: .seconds(30), whole: .seconds(30)))
            #expect(try LegAnswer.isAccepted(try ResponseHead(lines: lines)))
            let leg = try await Leg.begin(.connector, on: dialled, rest: reader.takeBuffer(), .init(goAway: { _ in }))
            leg.close()
            await leg.ended()
        }
    }

    @Test("the edge tells the control plane of its legs")
    func reports() async throws {
        try await TunnelWorld.run { world in
            try await eventually { world.directory.reports[TunnelWorld.tunnelID]?.count == 2 }
            #expect(world.directory.reports[TunnelWorld.tunnelID]?.allSatisfy { $0.version == "test" && $0.connectorKey.count == 64 } == true)
        }
    }

    @Test("what passes the edge between client and connector holds nothing of the call")
    func ciphertext() async throws {
        try await TunnelWorld.run { world in
            let relay = try await TestRelay(to: world.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await relay.run() }
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "CANARY-caller" }, port: relay.port)
                let answer = try await client.call("POST", "/echo", body: "CANARY-body", fields: "X-Canary: CANARY-header\r\n")
                #expect(answer.body == "CANARY-body")
                client.stream.close()
                let seen = String(decoding: relay.bytes.map { $0 & 0x7F }, as: UTF8.self)
                #expect(relay.bytes.count > 1000 && !seen.contains("CANARY") && seen.contains("docs.\(TunnelWorld.domain)"))
            }
        }
    }

    @Test("who is slow to say what they want is sent away")
    func slow() async throws {
        var options = TunnelWorld.Options()
        options.edgeLimits.hello = .milliseconds(200)
        options.edgeLimits.request = .milliseconds(200)
        try await TunnelWorld.run(options) { world in
            let silent = try await TunnelClient.dial(world.port)
            #expect(try await silent.read(within: .seconds(10)) == nil)
            let dripping = try await TunnelClient.dial(world.port)
            try await dripping.write([22, 3])
            #expect(try await dripping.read(within: .seconds(10)) == nil)
            let idle = try await TunnelClient.dial(world.port)
            try await TunnelClient.outer(idle, world)
            try await idle.write(ByteBuffer(string: "POST /v1"))
            var reader = MessageReader(idle)
            #expect(try await TunnelClient.read(&reader, method: "GET").status == 408)
            for stream in [silent, dripping, idle] { stream.close() }
        }
    }
}
