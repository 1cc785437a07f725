import Foundation
import PosternEdge
import PosternJSON
import Testing

@testable import PosternCommands

/// The bounds of the edge that a server starts: from its settings to the process.
@Suite struct EdgeBoundsTests {
    private static func settings(_ flags: [String: String]) throws -> ServeSettings {
        var all = [
            "with_edge": "true", "tunnel.domain": "tunnel.example.com", "edge.tls_cert": "edge.pem", "edge.tls_key": "edge.key",
            "model.base_url": "http://127.0.0.1:1", "data": "data",
        ]
        all.merge(flags) { $1 }
        return try ServeSettings(try Configuration(.serve, flags: all, environment: [:]), environment: [:])
    }

    @Test func settingsReachTheProcess() throws {
        let numbers = [
            "edge.max_connections": 11, "edge.max_connections_per_address": 12, "edge.max_unproved_per_address": 13,
            "edge.max_legs_per_workspace": 14,
            "edge.max_calls_per_tunnel": 15, "edge.max_calls_per_caller": 16, "edge.max_calls_per_second": 17, "edge.max_bytes_per_second": 1024,
            "edge.max_idle_seconds": 18,
        ]
        var flags = numbers.mapValues(String.init)
        flags["edge.leg_proof"] = "challenge"
        flags["edge.metrics_listen"] = "127.0.0.1:0"
        let edge = try #require(try Self.settings(flags).edge)
        let bounds = try #require(EdgeBounds(json: try JSON(parsing: edge.bounds.json.encoded)))
        #expect(bounds == edge.bounds && edge.metricsListen?.port == 0)
        let shares = bounds.shares
        let seen: [Int] = [
            shares.connections, shares.connectionsPerAddress, shares.unprovedPerAddress, shares.legsPerWorkspace, shares.callsPerTunnel,
            shares.callsPerCaller, shares.callsPerSecond, shares.bytesPerSecond ?? 0, bounds.idleSeconds, shares.handshakesPerAddress,
        ]
        let wanted: [Int] = [11, 12, 13, 14, 15, 16, 17, 1024, 18, 12]
        #expect(seen == wanted)
        #expect(bounds.legProof == .challenge(terminators: nil))
        // Without any they are those of an edge that runs alone.
        #expect(try Self.settings([:]).edge?.bounds == EdgeBounds())
        #expect(EdgeBounds(json: [:]) == nil)
    }

    @Test func whoMayEndTLSIsReadAndHandedOver() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("terminators-\(UUID().uuidString).pem").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Data("no certificate".utf8).write(to: URL(fileURLWithPath: file))
        #expect(throws: ConfigurationError.self) { try Self.settings(["edge.leg_proof": "challenge", "edge.leg_terminators": file]) }
        #expect(throws: ConfigurationError.self) { try Self.settings(["edge.leg_terminators": file]) }
        var bounds = EdgeBounds()
        bounds.shares.legsPerWorkspace = 64
        bounds.legProof = .challenge(terminators: ["ab", "cd"])
        #expect(EdgeBounds(json: bounds.json) == bounds)
        bounds.legProof = .challenge(terminators: [])
        #expect(EdgeBounds(json: bounds.json) == bounds)
    }

    @Test(arguments: [
        ["edge.max_bytes_per_second": "5"], ["edge.metrics_listen": "0.0.0.0:1"], ["edge.metrics_listen": ":1"], ["edge.max_calls_per_caller": "0"],
        ["edge.max_idle_seconds": "9"], ["edge.leg_proof": "none"],
    ])
    func badOnesAreRefused(flags: [String: String]) { #expect(throws: ConfigurationError.self) { try Self.settings(flags) } }
}
