import NIOCore
import NIOPosix
import PosternConnector
import PosternHTTP
import PosternJSON
import PosternPolicy
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

/// The bounds of a route, each attacked, through a real edge and a real connector.
@Suite("Limits of a route", .timeLimit(.minutes(2)))
struct RouteLimitTests {
    private static let host = "docs.\(TunnelWorld.domain)"

    private static func run(
        _ change: @escaping @Sendable (inout RouteLimits) -> Void, _ body: @escaping @Sendable (TunnelWorld) async throws -> Void
    ) async throws {
        var options = TunnelWorld.Options()
        options.change = { configuration in
            var limits = RouteLimits()
            change(&limits)
            configuration.routes["docs"]?.limits = limits
        }
        try await TunnelWorld.run(options, body)
    }

    private static func reason(_ answer: TunnelClient.Answer) -> String? {
        answer.body.firstMatch(of: #/"reason":"([a-z_]+)"/#).map { String($0.1) }
    }

    /// What it says of whether the request had gone by then.
    private static func sent(_ answer: TunnelClient.Answer) -> Bool? { (try? JSON(parsing: answer.body))?["sent"]?.bool }

    /// A call that its upstream holds.
    private static func held(_ world: TunnelWorld, _ client: String) async throws -> TunnelClient {
        let before = world.upstream.now.heads.count
        var open = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = client })
        try await open.send("GET /hold HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        try await eventually { world.upstream.now.heads.count == before + 1 }
        return open
    }

    @Test("a route takes so many calls, and one more when one has ended")
    func concurrency() async throws {
        try await Self.run {
            $0.concurrency = 2
        } _: { world in
            let (first, second) = (try await Self.held(world, "a"), try await Self.held(world, "b"))
            var third = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "c" })
            let refused = try await third.call("GET", "/head")
            #expect(refused.status == 503 && Self.reason(refused) == "route_busy")
            #expect(refused.head.fields.contains("retry-after"))
            first.stream.close()
            await world.log.wait { $0.refusals.contains("caller_gone") }
            var fourth = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "d" })
            #expect(try await fourth.call("GET", "/head").status == 200)
            second.stream.close()
            #expect(world.upstream.now.heads.count == 3)
        }
    }

    @Test("one certificate cannot use up a route, however many connections it opens")
    func perCaller() async throws {
        try await Self.run {
            $0.concurrencyPerCaller = 1
        } _: { world in
            let first = try await Self.held(world, "greedy")
            for _ in 0..<3 {
                var more = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "greedy" })
                let refused = try await more.call("GET", "/head")
                #expect(refused.status == 429 && Self.reason(refused) == "caller_busy")
            }
            var other = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = "modest" })
            #expect(try await other.call("GET", "/head").status == 200)
            first.stream.close()
        }
    }

    @Test("nor what a connector has of connections, by those that carry nothing")
    func idleConnections() async throws {
        try await Self.run {
            $0.concurrencyPerCaller = 1
        } _: { world in
            func call(_ name: String) async throws -> TunnelClient {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = name })
                #expect(try await client.call("GET", "/head").status == 200)
                return client
            }
            var idle: [TunnelClient] = []
            for _ in 0..<16 { idle.append(try await call("greedy")) }
            await #expect(throws: (any Error).self) { try await call("greedy") }
            await world.log.wait { $0.refusals == ["caller_busy"] }
            try await call("modest").stream.close()
            for client in idle { client.stream.close() }
            try await eventually { (try? await call("greedy").stream.close()) != nil }
        }
    }

    @Test("a body over the bound is refused, by its length before anything goes upstream, and in chunks as soon as it is over")
    func requestBytes() async throws {
        try await Self.run {
            $0.requestBytes = 1024
        } _: { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("POST /echo HTTP/1.1\r\nHost: \(Self.host)\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
            let refused = try await client.answer()
            #expect(refused.status == 413 && Self.reason(refused) == "request_too_large" && world.upstream.now.connections == 0)
            #expect(Self.sent(refused) == false)
            var chunked = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let piece = "200\r\n\(String(repeating: "x", count: 0x200))\r\n"
            try await chunked.send(
                "POST /large/1 HTTP/1.1\r\nHost: \(Self.host)\r\nTransfer-Encoding: chunked\r\n\r\n\(piece)\(piece)\(piece)0\r\n\r\n")
            let late = try await chunked.answer()
            #expect(late.status == 413 && Self.sent(late) == true)
            #expect(world.log.refusals == ["request_too_large", "request_too_large"])
            #expect(world.upstream.now.sent == 0)
        }
    }

    @Test("an answer over the bound is refused where its length says it, and cut where it does not")
    func answerBytes() async throws {
        try await Self.run {
            $0.answerBytes = 1024
        } _: { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let refused = try await client.call("GET", "/large/1025")
            #expect(refused.status == 502 && Self.reason(refused) == "answer_too_large" && Self.sent(refused) == true)
            var whole = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await whole.call("GET", "/large/1024").body.utf8.count == 1024)
            await #expect(throws: (any Error).self) {
                try await whole.call("POST", "/echo", body: String(repeating: "x", count: 5000))
            }
            await world.log.wait { $0.refusals == ["answer_too_large", "answer_too_large"] }
        }
    }

    @Test("an upstream that does not answer, and one that stops in the middle, end the call, each for its own reason")
    func upstreamTimes() async throws {
        try await Self.run {
            $0.answer = .milliseconds(200)
        } _: { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let late = try await client.call("GET", "/hold")
            #expect(late.status == 504 && Self.reason(late) == "upstream_timeout")
            // It may have run.
            #expect(Self.sent(late) == true)
            try await eventually { world.upstream.now.gone == 1 }
            #expect(world.log.refusals == ["upstream_timeout"])
        }
        // The answer's head has all the time that it takes, so that it is the middle that is late.
        try await Self.run {
            $0.idle = .milliseconds(300)
        } _: { world in
            var stream = try await TunnelClient.open(world, .splice, as: try world.runtime())
            await #expect(throws: (any Error).self) { try await stream.call("GET", "/events") }
            await world.log.wait { $0.refusals == ["upstream_timeout"] }
            world.upstream.go.open()
        }
    }

    @Test("an upstream that takes the connection and never speaks TLS is given up in time")
    func connectTime() async throws {
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        defer { silent.close(promise: nil) }
        let port = try #require(silent.localAddress?.port)
        var options = TunnelWorld.Options()
        options.change = { configuration in
            configuration.routes["docs"]?.limits.connect = .milliseconds(200)
            if let host = try? Authority("127.0.0.1:\(port)") { configuration.routes["docs"]?.upstream = .network(isTLS: true, host) }
        }
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let late = try await client.call("GET", "/head")
            #expect(late.status == 504 && Self.reason(late) == "upstream_timeout")
            #expect(!late.body.contains("127.0.0.1") && Self.sent(late) == false)
        }
    }

    @Test("a caller that drips its body, and one that takes nothing of its answer, hold no place for ever")
    func stalls() async throws {
        try await Self.run {
            $0.requestRate = 1 << 20
            $0.grace = .milliseconds(300)
            $0.take = .milliseconds(300)
            $0.concurrency = 1
        } _: { world in
            var dripping = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await dripping.send("POST /large/1 HTTP/1.1\r\nHost: \(Self.host)\r\nTransfer-Encoding: chunked\r\n\r\n")
            let answer = dripping
            async let refused = {
                var client = answer
                return try await client.answer()
            }()
            // A byte now and then, each well within the time for a piece, until it is told off.
            let drip = Task { [dripping] in
                while (try? await dripping.stream.write(ByteBuffer(string: "1\r\nx\r\n"))) != nil, !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(50))
                }
            }
            let told = try await refused
            drip.cancel()
            await drip.value
            #expect(told.status == 408 && Self.reason(told) == "caller_stalled" && Self.sent(told) == true)
            var deaf = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await deaf.send("GET /large/100000000 HTTP/1.1\r\nHost: \(Self.host)\r\n\r\n")
            await world.log.wait { $0.refusals == ["caller_stalled", "caller_stalled"] }
            var next = try await TunnelClient.open(world, .splice, as: try world.runtime())
            #expect(try await next.call("GET", "/head").status == 200)
            deaf.stream.close()
        }
    }

    @Test("a call ends when its time is over")
    func callTime() async throws {
        try await Self.run {
            $0.call = .milliseconds(300)
        } _: { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            await #expect(throws: (any Error).self) { try await client.call("GET", "/hold") }
            await world.log.wait { $0.refusals == ["call_too_long"] }
            try await eventually { world.upstream.now.gone == 1 }
        }
    }

    @Test("a call that runs when its caller's certificate ends is cut then")
    func expiry() async throws {
        try await TunnelWorld.run { world in
            let request = "GET /events HTTP/1.1\r\nHost: \(Self.host)\r\n\r\n"
            var lasting = try await TunnelClient.open(world, .splice, as: try world.runtime())
            var lastingBody = BodyReader(.chunked)
            try await lasting.send(request)
            _ = try await lasting.head()
            #expect(try await lasting.piece(&lastingBody) == "data: 1\n\n")
            // The time of a certificate begins before the call does: one that the machine was too slow for is followed by one that lasts longer.
            var (client, body) = try await Lifetime.long(from: 2) { seconds in
                let caller = try world.runtime(until: seconds)
                var client = try await TunnelClient.open(world, .splice, as: caller)
                try await client.send(request)
                _ = try #require(try await client.head())
                var read = BodyReader(.chunked)
                #expect(try await client.piece(&read) == "data: 1\n\n")
                return (client, read)
            }
            await #expect(throws: (any Error).self) { try await client.piece(&body) }
            await world.log.wait { $0.refusals.last == "certificate_ended" }
            world.upstream.go.open()
            #expect(try await lasting.piece(&lastingBody) == "data: 2\n\n")
            lasting.stream.close()
        }
    }
}
