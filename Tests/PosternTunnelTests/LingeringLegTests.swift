import NIOCore
import PosternConnector
import PosternTunnelLink
import Testing

@Suite("Legs that linger", .timeLimit(.minutes(1)))
struct LingeringLegTests {
    @Test("an edge that says goodbye again and again collects no legs: the oldest is closed, those that may still carry calls stay")
    func bounded() async throws {
        var options = TunnelWorld.Options()
        options.legs = 1
        // None is dialled late.
        options.times.steady = .zero
        let world = try await TunnelWorld(options)
        let edge = try await HostileEdge(world)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await edge.run() }
            let connector = try world.makeConnector(edge: edge.legPort)
            group.addTask { await connector.run() }
            var legs = [await edge.leg("host/0")]
            while legs.count < 6 {
                let last = legs[legs.count - 1]
                last.sayGoodbye()
                try await eventually { await edge.leg("host/0").channel !== last.channel }
                legs.append(await edge.leg("host/0"))
            }
            for old in legs.prefix(3) { await old.ended() }
            #expect(legs.dropFirst(3).allSatisfy { $0.channel.isActive })
        }
    }
}
