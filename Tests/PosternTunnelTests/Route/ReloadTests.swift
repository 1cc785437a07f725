import Foundation
import NIOCore
import PosternConnector
import PosternHTTP
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Testing

/// Changes of the document while calls run.
@Suite("A document that changes", .timeLimit(.minutes(2)))
struct ReloadTests {
    private static let host = "docs.\(TunnelWorld.domain)"

    @Test("new calls go by it, also on connections that stand, and a stream that runs goes on")
    func newCalls() async throws {
        try await TunnelWorld.run { world in
            var (running, body) = try await TunnelClient.events(world, as: try world.runtime())
            var idle = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "other" })
            #expect(try await idle.call("GET", "/head").status == 200)
            var options = world.options
            options.headers = ["X-Key": "from inside"]
            try await world.reload(options)
            #expect(world.log.readings == [[2, 0, 0]])
            #expect(try await idle.call("GET", "/head").status == 200)
            #expect(world.upstream.now.heads.last?.contains("X-Key: from inside") == true)
            world.upstream.go.open()
            #expect(try await running.piece(&body) == "data: 2\n\n")
            #expect(try await running.piece(&body) == nil)
            #expect(world.log.legs == 2 && world.log.refusals.isEmpty)
            running.stream.close()
            idle.stream.close()
        }
    }

    @Test("who may call no more is cut within a second, in the middle of a call and between two, and others are not")
    func callerRemoved() async throws {
        try await TunnelWorld.run { world in
            let (running, _) = try await TunnelClient.events(world, as: try world.runtime { $0.client = "bad" })
            var idle = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "bad" })
            #expect(try await idle.call("GET", "/head").status == 200)
            var (good, body) = try await TunnelClient.events(world, as: try world.runtime { $0.client = "good" })
            var options = world.options
            options.callers = Callers()
            options.callers.clients = ["good"]
            let start = ContinuousClock.now
            try await world.reload(options)
            await running.isCut(within: .seconds(10))
            await idle.isCut(within: .seconds(10))
            #expect(ContinuousClock.now - start < .seconds(1))
            await world.log.wait { $0.refusals.contains("no_longer_allowed") }
            var again = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "bad" })
            #expect(try await again.call("GET", "/head").body.contains("caller_not_allowed"))
            world.upstream.go.open()
            #expect(try await good.piece(&body) == "data: 2\n\n")
            good.stream.close()
        }
    }

    @Test("a route that is taken out, and another runtime authority, cut what runs")
    func routeAndAuthority() async throws {
        for change in ["route", "authority"] {
            try await TunnelWorld.run { world in
                let (running, _) = try await TunnelClient.events(world, as: try world.runtime())
                var options = world.options
                if change == "route" {
                    options.change = { $0.routes["docs"] = nil }
                } else {
                    let other = try RuntimeAuthority.make(
                        workspaceID: TunnelWorld.workspaceID, notBefore: Date().addingTimeInterval(-60), notAfter: Date().addingTimeInterval(3600))
                    options.files = ["runtime-ca.pem": try other.certificatePEM]
                }
                let start = ContinuousClock.now
                try await world.reload(options)
                await running.isCut(within: .seconds(10))
                #expect(ContinuousClock.now - start < .seconds(1), "\(change)")
                await #expect(throws: (any Error).self) {
                    var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                    _ = try await client.call("GET", "/head")
                }
                await world.log.wait { $0.refusals.count == 2 }
                #expect(world.log.refusals == ["no_longer_allowed", change == "route" ? "no_route" : "certificate_refused"])
                world.upstream.go.open()
            }
        }
    }

    @Test("a call that its policy refuses now is cut, one that it still lets through goes on")
    func policyNarrowed() async throws {
        var options = TunnelWorld.Options()
        options.policy = try PolicyDocument.policy("tools: {allow: [read, write]}")
        try await TunnelWorld.run(options) { world in
            func call(_ tool: String, _ client: inout TunnelClient) async throws {
                let body = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)"}}"#
                try await client.send(
                    "POST /hold HTTP/1.1\r\nHost: \(Self.host)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
            }
            var read = try await TunnelClient.open(world, .splice, as: try world.runtime())
            var write = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await call("read", &read)
            try await call("write", &write)
            try await eventually { world.upstream.now.heads.count == 2 }
            var narrowed = world.options
            narrowed.policy = try PolicyDocument.policy("tools: {allow: [read]}")
            try await world.reload(narrowed)
            await write.isCut(within: .seconds(10))
            await world.log.wait { $0.refusals == ["no_longer_allowed"] }
            try await eventually { world.upstream.now.gone == 1 }
            // Wider again, and then none at all: nothing is cut.
            try await world.reload(world.options)
            var open = world.options
            open.policy = nil
            try await world.reload(open)
            #expect(world.log.refusals == ["no_longer_allowed"] && world.upstream.now.gone == 1)
            // A policy where there was none: what runs was not read.
            var unread = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await call("read", &unread)
            try await eventually { world.upstream.now.heads.count == 3 }
            try await world.reload(narrowed)
            await unread.isCut(within: .seconds(10))
            read.stream.close()
        }
    }

    @Test("what was counted of a policy goes on counting where its text did not change")
    func rates() async throws {
        var options = TunnelWorld.Options()
        options.policy = try PolicyDocument.policy("{tools: {allow: [read]}, rate: {calls_per_minute: 1, burst: 1}}")
        try await TunnelWorld.run(options) { world in
            world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            let body = #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}"#
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await client.call("POST", "/mcp", body: body, fields: "Content-Type: application/json\r\n").body.contains("result"))
            var changed = world.options
            changed.headers = ["X-Key": "from inside"]
            try await world.reload(changed)
            #expect(try await client.call("POST", "/mcp", body: body, fields: "Content-Type: application/json\r\n").body.contains(#""rule":"rate""#))
            client.stream.close()
        }
    }

    @Test("other legs stand before the old ones are given up, and a stream that runs goes on")
    func legs() async throws {
        try await TunnelWorld.run { world in
            var (running, body) = try await TunnelClient.events(world, as: try world.runtime())
            var options = world.options
            options.legs = 3
            try await world.reload(options)
            await world.log.wait { $0.legs == 3 }
            // In the order of what happened: never fewer than before.
            var (standing, least) = (0, Int.max)
            for event in world.log.events {
                if case .legStands = event { standing += 1 }
                if case .legEnded = event { standing -= 1 }
                if case .reloaded = event { least = standing }
                least = min(least, standing)
            }
            #expect(least >= 2)
            for _ in 0..<4 {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                #expect(try await client.call("POST", "/echo", body: "x").body == "x")
                client.stream.close()
            }
            world.upstream.go.open()
            #expect(try await running.piece(&body) == "data: 2\n\n")
            #expect(try await running.piece(&body) == nil)
            running.stream.close()
        }
    }

    @Test("a document that leads nowhere does not take the legs away that stand, and the next good one takes over")
    func badLegs() async throws {
        try await TunnelWorld.run { world in
            var nowhere = world.options
            nowhere.change = { $0.edges.addresses = [Authority(host: $0.edges.addresses[0].host, port: 1)] }
            try await world.reload(nowhere)
            await world.log.wait { $0.events.contains { if case .legFailed = $0 { true } else { false } } }
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await client.call("POST", "/echo", body: "x").body == "x")
            try await world.reload(world.options)
            await world.log.wait { log in log.events.count { if case .legStands = $0 { true } else { false } } == 4 && log.legs == 2 }
            #expect(try await client.call("POST", "/echo", body: "y").body == "y")
            client.stream.close()
        }
    }
}
