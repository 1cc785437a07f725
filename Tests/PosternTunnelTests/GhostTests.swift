import NIOCore
import NIOSSL
import PosternTunnelLink
import PosternTunnelWire
import Testing

@testable import PosternConnector
@testable import PosternEdge

/// Two legs of one key and name: the one that was asked for later stands.
@Suite("Ghosts of legs", .timeLimit(.minutes(1)))
struct GhostTests {
    @Test("a returning connector takes the place of its ghost at once")
    func ghost() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        try await TunnelWorld.run(options) { world in
            let log = EventLog()
            let again = try world.makeConnector(log: log)
            let running = Task { await again.run() }
            await log.wait { $0.legs >= 1 }
            await world.log.wait { log in log.events.contains { if case .legEnded = $0 { true } else { false } } }
            running.cancel()
        }
    }

    /// A connector that ends while its key is being enrolled leaves a request behind, at an edge that has not noticed; the connector that comes back
    /// is quicker, since its key is known by then.
    @Test("a request that waited for its enrolment takes no place from a leg that was asked for after it")
    func late() async throws {
        var options = TunnelWorld.Options()
        options.isEnrolled = false
        let world = try await TunnelWorld(options)
        let (asked, go) = (EventCounter(), Gate())
        world.directory.holdEnrolments {
            asked.add()
            await go.wait()
        }
        try await world.runParts(connects: false) { world in
            try await eventually { world.directory.hasAnswered }
            let first = try await Self.ask(world, token: TunnelWorld.token)
            try await eventually { asked.count == 1 }
            world.directory.change(TunnelWorld.tunnelID) { $0.connectorKeys.insert(world.connectorKey.fingerprint) }
            let second = try await Self.ask(world, token: nil)
            var reader = MessageReader(second)
            let lines = try #require(try await reader.head(idle: .seconds(30), whole: .seconds(30)))
            #expect(try LegAnswer.isAccepted(try ResponseHead(lines: lines)))
            let leg = try await Leg.begin(.connector, on: second, rest: reader.takeBuffer(), .init(goAway: { _ in }))
            try await eventually { world.directory.reports[TunnelWorld.tunnelID]?.count == 1 }
            go.open()
            reader = MessageReader(first)
            let answer = try await TunnelClient.read(&reader, method: "POST")
            #expect(answer.status == 503 && answer.body.contains(#""replaced""#))
            #expect(leg.channel.isActive)
            first.close()
            leg.close()
        }
    }

    @Test("of two that come to stand at one time the later asked for stays, in whichever order they come")
    func order() async throws {
        try await LegPair.run { pair in
            let table = LegTable()
            table.replace(
                EdgeTunnels(
                    revision: 1,
                    tunnels: [EdgeTunnel(id: "t", domain: "t.example.com", workspaceID: "w", splices: false, connectorKeys: ["k", "other"])]))
            func leg(_ id: Int, key: String = "k", name: String = "a") -> EdgeLeg {
                EdgeLeg(id: id, tunnelID: "t", connectorKey: key, name: name, version: "1", since: 0, leg: pair.edge)
            }
            try table.add(leg(7))
            let refusal = #expect(throws: LegRefusal.self) { try table.add(leg(3)) }
            #expect(refusal?.reason == .replaced && table.legs(of: "t").map(\.id) == [7] && pair.edge.channel.isActive)
            // Another key's and another name's are nobody's ghosts.
            try table.add(leg(4, key: "other"))
            try table.add(leg(5, name: "b"))
            #expect(table.legs(of: "t").map(\.id) == [7, 4, 5])
        }
    }

    /// Asks the edge for a leg with the connector's key.
    private static func ask(_ world: TunnelWorld, token: String?) async throws -> ByteStream {
        let stream = try await TunnelClient.dial(world.port)
        try await TunnelClient.outer(
            stream, world, certificate: try .init(bytes: Array(world.connectorKey.certificatePEM.utf8), format: .pem),
            key: try .init(bytes: Array(world.connectorKey.keyPEM.utf8), format: .pem))
        try await stream.write(
            LegRequest(tunnelID: TunnelWorld.tunnelID, leg: "host/0", version: "x", token: token).encoded(host: TunnelWorld.edgeName))
        return stream
    }
}
