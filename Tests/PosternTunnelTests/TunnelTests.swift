import Foundation
import NIOCore
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Testing

/// Calls through a real edge and a real connector.
@Suite("Tunnels, end to end", .timeLimit(.minutes(2)))
struct TunnelTests {
    @Test("a runtime's call reaches the upstream, spliced and by CONNECT, and its connection carries more of them", arguments: [true, false])
    func call(splices: Bool) async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, splices ? .splice : .connect(TunnelWorld.apiKey), as: try world.runtime())
            for index in 0..<3 {
                let answer = try await client.call("POST", "/echo", body: "call \(index)")
                #expect(answer.status == 200 && answer.body == "call \(index)")
            }
            let head = try await client.call("GET", "/head")
            #expect(head.body.contains("Host: 127.0.0.1:\(world.upstream.port)\nX-Forwarded-Host: docs.\(TunnelWorld.domain)"))
            #expect(world.upstream.now.connections == 1)
            client.stream.close()
        }
    }

    @Test("large bodies pass both ways, byte by byte")
    func large() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let body = String((0..<3_000_000).map { Character(Unicode.Scalar(UInt8(33 + $0 % 90))) })
            let reading = client
            async let answer = {
                var client = reading
                return try await client.answer()
            }()
            try await client.send("POST /echo HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
            try await client.send(body)
            #expect(try await answer.body == body)
            client.stream.close()
        }
    }

    @Test("an answer is passed on as it comes")
    func events() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("GET /events HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\r\n")
            let head = try #require(try await client.head())
            #expect(head.fields.named("transfer-encoding").map(\.text) == ["chunked"])
            var body = BodyReader(.chunked)
            #expect(try await client.piece(&body) == "data: 1\n\n")
            // Only now does the upstream go on.
            world.upstream.go.open()
            #expect(try await client.piece(&body) == "data: 2\n\n")
            #expect(try await client.piece(&body) == nil)
            client.stream.close()
        }
    }

    @Test("an upstream that answers before it has the whole request gets the rest of it, and the connections carry more calls")
    func earlyAnswer() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            for index in 1...3 {
                try await client.send("POST /early HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nContent-Length: 8\r\n\r\nfour")
                #expect(try await client.answer().body == "early")
                try await client.send("more")
                try await eventually { world.upstream.now.bodies == index }
            }
            #expect(try await client.call("POST", "/echo", body: "x").body == "x")
            #expect(world.upstream.now.connections == 1)
            client.stream.close()
        }
    }

    @Test("an upstream that answers and does not take the rest of the request ends the caller's connection, with its answer")
    func answerWithoutTheRest() async throws {
        var options = TunnelWorld.Options()
        options.times.rest = .milliseconds(100)
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("POST /early HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nContent-Length: 8\r\n\r\nfour")
            #expect(try await client.answer().body == "early")
            #expect(try await client.stream.read(within: .seconds(10)) == nil)
            #expect(world.upstream.now.bodies == 0)
            client.stream.close()
        }
    }

    @Test("what is wrong with the rest of a request takes nothing from the answer that came before it, and does not go upstream")
    func answerBeforeRefusal() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("POST /early HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n")
            #expect(try await client.answer().body == "early")
            try await client.send("x\r\n")
            #expect(try await client.stream.read(within: .seconds(10)) == nil)
            #expect(world.upstream.now.bodies == 0)
            client.stream.close()
        }
    }

    @Test("a caller that goes away ends its call at the upstream")
    func callerGone() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("GET /hold HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\n\r\n")
            try await eventually { world.upstream.now.heads.count == 1 }
            client.stream.close()
            try await eventually { world.upstream.now.gone == 1 }
        }
    }

    @Test("an answer that the upstream cuts is not ended as if it were whole")
    func cut() async throws {
        try await TunnelWorld.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            await #expect(throws: (any Error).self) { try await client.call("GET", "/cut") }
            // The connection was cut below TLS: no close_notify was sent.
            await #expect(throws: NIOSSLError.self) { try await client.stream.read(within: .seconds(10)) }
            #expect(world.log.refusals == ["upstream_answer"])
        }
    }

    @Test("a request that its caller cuts without close_notify is not ended as if it were whole")
    func truncatedRequest() async throws {
        try await TunnelWorld.run { world in
            let relay = try await TestRelay(to: world.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await relay.run() }
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime(), port: relay.port)
                try await client.send("POST /echo HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
                _ = try await client.head()
                relay.cut()
                await world.log.wait { $0.refusals == ["caller_gone"] }
                #expect(world.upstream.now.bodies == 0)
            }
        }
    }

    // MARK: Who is refused

    @Test("certificates that do not count are refused before HTTP, each for its own reason")
    func foreignCertificates() async throws {
        try await TunnelWorld.run { world in
            let now = Date()
            let own = try RuntimeAuthority.make(
                workspaceID: TunnelWorld.workspaceID, notBefore: now.addingTimeInterval(-60), notAfter: now.addingTimeInterval(3600))
            let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test")
            let cases: [(TunnelWorld.Caller, CallErrorCheck)] = [
                (try world.runtime { $0.workspaceID = "wrkspc_2" }, .certificate(.otherWorkspace("wrkspc_2"))),
                (try world.runtime { $0.tunnelID = "tnl_2" }, .certificate(.otherTunnel("tnl_2"))),
                (try world.runtime(from: -600, until: -60), .certificate(.expired)),
                (try world.runtime(from: 60, until: 600), .certificate(.notYetValid)),
                (try TunnelWorld.Caller(identity, authority: own), .certificate(.otherAuthority)), (.none, .none),
            ]
            for way in [TunnelClient.Way.splice, .connect(TunnelWorld.apiKey)] {
                for (caller, expected) in cases {
                    let before = world.log.refusals.count
                    await #expect(throws: (any Error).self) {
                        var client = try await TunnelClient.open(world, way, as: caller)
                        _ = try await client.call("GET", "/head")
                    }
                    await world.log.wait { $0.refusals.count > before }
                    #expect(expected.matches(world.log.events.last), "\(String(describing: world.log.events.last))")
                }
            }
            #expect(world.upstream.now.connections == 0)
        }
    }

    enum CallErrorCheck {
        case none
        case certificate(RuntimeCertificateError)

        func matches(_ event: ConnectorEvent?) -> Bool {
            guard case .refused(_, let error)? = event else { return false }
            switch (self, error) {
            case (.none, .noCertificate): return true
            case (.certificate(let expected), .certificate(let found)): return expected == found
            default: return false
            }
        }
    }

    @Test("a resumed session is held to its certificate again")
    func resumption() async throws {
        // openssl resumes; what is tested here is that a session of one handshake is not taken for the identity of another. The client of these tests
        // never resumes, so each connection shows its certificate: two identities on one edge keep apart.
        var options = TunnelWorld.Options()
        options.callers = Callers()
        options.callers.clients = ["good"]
        try await TunnelWorld.run(options) { world in
            for _ in 0..<2 {
                var good = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "good" })
                #expect(try await good.call("GET", "/head").status == 200)
                var bad = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "bad" })
                let refused = try await bad.call("GET", "/head")
                #expect(refused.status == 403 && refused.body.contains("caller_not_allowed"))
                good.stream.close()
                bad.stream.close()
            }
        }
    }

    @Test("nobody may call a route that names nobody, and a certificate opens its routes only")
    func callers() async throws {
        var options = TunnelWorld.Options()
        options.callers = Callers()
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let refused = try await client.call("GET", "/head")
            #expect(refused.status == 403 && refused.body.contains("caller_not_allowed"))
            #expect(refused.head.fields.named("postern-answer-by").map(\.text) == ["connector"])
            var bound = try await TunnelClient.open(
                world, .splice, as: try world.runtime { $0.routes = ["docs"] }, host: "other.\(TunnelWorld.domain)")
            #expect(try await bound.call("GET", "/head", host: "other.\(TunnelWorld.domain)").body.contains("route_not_opened"))
            #expect(world.upstream.now.connections == 0)
        }
    }

    @Test("a request for another Host, and one with two readings, is refused and ends the connection")
    func hosts() async throws {
        try await TunnelWorld.run { world in
            for (text, status) in [
                ("GET /head HTTP/1.1\r\nHost: other.\(TunnelWorld.domain)\r\n\r\n", 421),
                ("GET /head HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                ("GET /head HTTP/1.1\nHost: docs.\(TunnelWorld.domain)\n\n", 400),
                ("GET /head HTTP/1.1\r\nHost: docs.\(TunnelWorld.domain)\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 501),
            ] {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
                try await client.send(text)
                #expect(try await client.answer().status == status)
                #expect(try await client.stream.read(within: .seconds(10)) == nil)
                client.stream.close()
            }
            #expect(world.upstream.now.connections == 0)
        }
    }

    @Test("an inner server name that is not the stream's is refused, and so are routes and names that are nobody's")
    func names() async throws {
        try await TunnelWorld.run { world in
            let caller = try world.runtime()
            await #expect(throws: (any Error).self) {
                _ = try await TunnelClient.open(
                    world, .connect(TunnelWorld.apiKey), as: caller, host: "docs.\(TunnelWorld.domain)", serverName: "other.\(TunnelWorld.domain)")
            }
            await world.log.wait { $0.refusals == ["server_name"] }
            await #expect(throws: (any Error).self) {
                _ = try await TunnelClient.open(world, .splice, as: caller, host: "nothing.\(TunnelWorld.domain)")
            }
            await world.log.wait { $0.refusals == ["server_name", "no_route"] }
            for host in ["docs.zz.tunnel.example.com", "www.example.com"] {
                await #expect(throws: (any Error).self) { _ = try await TunnelClient.open(world, .splice, as: caller, host: host) }
            }
        }
    }

    @Test("CONNECT needs an API key of the tunnel's workspace")
    func connect() async throws {
        try await TunnelWorld.run { world in
            world.directory.setCredential("key_2", workspaceID: "wrkspc_2")
            for (key, host, status) in [
                (nil, "docs.\(TunnelWorld.domain)", 407), ("wrong", "docs.\(TunnelWorld.domain)", 403), ("key_2", "docs.\(TunnelWorld.domain)", 403),
                (TunnelWorld.apiKey, "docs.zz.tunnel.example.com", 403), (TunnelWorld.apiKey, "127.0.0.1", 400),
            ] {
                do {
                    _ = try await TunnelClient.open(world, .connect(key), as: try world.runtime(), host: host)
                    Issue.record("CONNECT was granted")
                } catch let refusal as TunnelClient.NotConnected {
                    #expect(refusal.status == status)
                    #expect(!refusal.body.contains(key ?? "nothing"))
                }
            }
        }
    }

    @Test("an edge that has not heard of its tunnels yet says that, and not that there is none")
    func notReady() async throws {
        let world = try await TunnelWorld()
        world.directory.fallSilent()
        try await world.runParts(connects: false) { world in
            do {
                _ = try await TunnelClient.open(world, .splice, as: try world.runtime())
                Issue.record("a call was spliced")
            } catch {
                #expect("\(error)".contains("ALERT_INTERNAL_ERROR"))
            }
            do {
                _ = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
                Issue.record("CONNECT was granted")
            } catch let refusal as TunnelClient.NotConnected {
                #expect(refusal.status == 503 && refusal.body.contains("does not know its tunnels yet"))
            }
        }
    }

    @Test("a tunnel that is not spliced is reached by CONNECT only")
    func notSpliced() async throws {
        var options = TunnelWorld.Options()
        options.splices = false
        try await TunnelWorld.run(options) { world in
            await #expect(throws: (any Error).self) { _ = try await TunnelClient.open(world, .splice, as: try world.runtime()) }
            var client = try await TunnelClient.open(world, .connect(TunnelWorld.apiKey), as: try world.runtime())
            #expect(try await client.call("POST", "/echo", body: "x").body == "x")
            client.stream.close()
        }
    }

    @Test("an upstream at an address that is not allowed is not dialled")
    func addresses() async throws {
        var options = TunnelWorld.Options()
        options.upstreamAddresses = ["10.0.0.0/8"]
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let refused = try await client.call("GET", "/head")
            #expect(refused.status == 502 && refused.body.contains("upstream_address"))
            // Where it is, and what the route would dial, is for the log.
            #expect(!refused.body.contains("127.0.0.1") && !refused.body.contains("10.0.0.0"))
            let logged = try #require(world.log.reasons.last)
            #expect(logged.contains("127.0.0.1") && logged.contains("10.0.0.0/8"))
            #expect(world.upstream.now.connections == 0)
        }
    }

    @Test("an injected header reaches the upstream and no caller's does")
    func injection() async throws {
        var options = TunnelWorld.Options()
        options.headers = ["Authorization": "Bearer inside"]
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let head = try await client.call("GET", "/head", fields: "authorization: Bearer outside\r\n")
            let seen = try #require(world.upstream.now.heads.first)
            #expect(seen.contains("Authorization: Bearer inside") && !seen.contains("outside"))
            #expect(head.status == 200)
            client.stream.close()
        }
    }
}
