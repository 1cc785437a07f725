import NIOCore
import PosternTunnelLink
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
}
