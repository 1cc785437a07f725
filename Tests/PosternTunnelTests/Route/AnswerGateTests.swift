import NIOCore
import PosternConnector
import PosternGate
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire
import Synchronization
import Testing

/// What may not come back does not, through a real edge and a real connector.
@Suite("The gate of answers", .timeLimit(.minutes(2)))
struct AnswerGateTests {
    private static let host = "docs.\(TunnelWorld.domain)"
    private static let secret = "canary/+inside=0123"
    private static let mark = "[redacted: secret Authorization]"

    private static func run(_ body: @escaping @Sendable (TunnelWorld) async throws -> Void) async throws {
        var options = TunnelWorld.Options()
        options.headers = ["Authorization": "Bearer \(secret)"]
        try await TunnelWorld.run(options, body)
    }

    @Test("an injected value is masked in bodies, whatever pieces they come in, alone and with its scheme, and encoded")
    func bodies() async throws {
        try await Self.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let secret = Self.secret
            for cut in [1, 5, secret.count - 1] {
                try await client.send("POST /echo HTTP/1.1\r\nHost: \(Self.host)\r\nTransfer-Encoding: chunked\r\n\r\n")
                for part in ["before \(secret.prefix(cut))", "\(secret.dropFirst(cut)) after"] {
                    try await client.send("\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n")
                    // The upstream has it, and answers in pieces too.
                    try await eventually { world.upstream.now.heads.count > 0 }
                }
                try await client.send("0\r\n\r\n")
                let answer = try await client.answer()
                #expect(answer.body == "before \(Self.mark) after")
            }
            for form in [secret, "Bearer \(secret)", "Y2FuYXJ5LytpbnNpZGU9MDEyMw==", "canary%2F%2Binside%3D0123", "canary\\/+inside=0123"] {
                let answer = try await client.call("POST", "/echo", body: "{\"a\":\"\(form)\"}")
                #expect(answer.body.contains("[redacted: secret Authorization]") && !answer.body.contains(form), "\(form): \(answer.body)")
            }
            // A server that tells its caller's head.
            let head = try await client.call("GET", "/head")
            #expect(head.status == 200 && !head.body.contains(secret) && head.body.contains(Self.mark))
            client.stream.close()
        }
    }

    @Test("a value from the environment is injected and masked alike, and one that is not there is an error")
    func environment() async throws {
        var options = TunnelWorld.Options()
        options.environment = ["UPSTREAM_TOKEN": "Bearer \(Self.secret)"]
        options.change = { $0.routes["docs"]?.headers = [.init(name: "Authorization", .environment("UPSTREAM_TOKEN"))] }
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let answer = try await client.call("GET", "/head", fields: "authorization: of the caller\r\n")
            #expect(answer.body.contains("Authorization: \(Self.mark)") && !answer.body.contains(Self.secret), "\(answer.body)")
            #expect(world.upstream.now.heads.last?.contains("Authorization: Bearer \(Self.secret)") == true)
            #expect(world.upstream.now.heads.last?.contains("of the caller") == false)
            for environment in [[:], ["UPSTREAM_TOKEN": ""], ["UPSTREAM_TOKEN": "a\nb-long-enough"], ["UPSTREAM_TOKEN": "short"]] {
                var broken = world.options
                broken.environment = environment
                await #expect(throws: ConnectorError.self, "\(environment)") { try await world.reload(broken) }
            }
            client.stream.close()
        }
    }

    @Test("and in heads; halves of an answer cannot be asked for, nor one in a coding")
    func heads() async throws {
        try await Self.run { world in
            world.upstream.mcp.withLock {
                $0 = "HTTP/1.1 200 \(Self.secret)\r\nX-Echo: Bearer \(Self.secret)\r\nX-Other: kept\r\nContent-Length: 2\r\n\r\n{}"
            }
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let answer = try await client.call("GET", "/mcp", fields: "Range: bytes=0-3\r\nIf-Range: x\r\nAccept-Encoding: gzip\r\n")
            #expect(answer.body == "{}" && answer.head.fields.named("x-other").map(\.text) == ["kept"])
            #expect(answer.head.fields.named("x-echo").map(\.text) == [Self.mark])
            #expect(!String(decoding: answer.head.encoded, as: UTF8.self).contains(Self.secret))
            let asked = try #require(world.upstream.now.heads.last)
            #expect(!asked.contains("ange: ") && asked.contains("Accept-Encoding: identity") && !asked.contains("gzip"))
            world.upstream.mcp.withLock { $0 = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}" }
            #expect(try await client.call("GET", "/mcp").status == 502)
        }
    }

    @Test("events are passed on as they come all the same")
    func flushing() async throws {
        try await Self.run { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await client.send("GET /events HTTP/1.1\r\nHost: \(Self.host)\r\n\r\n")
            _ = try await client.head()
            var body = BodyReader(.chunked)
            #expect(try await client.piece(&body) == "data: 1\n\n")
            world.upstream.go.open()
            #expect(try await client.piece(&body) == "data: 2\n\n")
            client.stream.close()
        }
    }

    @Test("what the route names is masked, or blocks the answer")
    func detectors() async throws {
        var options = TunnelWorld.Options()
        options.change = { $0.routes["docs"]?.answers.redact = [.awsAccessKey: .mask, .githubToken: .block] }
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            let answer = try await client.call("POST", "/echo", body: "key AKIAIOSFODNN7EXAMPLE end")
            #expect(answer.body == "key [redacted: aws-access-key] end")
            let token = "ghp_" + String(repeating: "a1B2", count: 9)
            await #expect(throws: (any Error).self) { try await client.call("POST", "/echo", body: "token \(token) end") }
            await world.log.wait { $0.refusals == ["answer_blocked"] }
        }
    }

    @Test("bytes are counted for a caller, for a route's day and for a call; nothing is asked for when they are used up")
    func budgets() async throws {
        var options = TunnelWorld.Options()
        options.change = {
            $0.routes["docs"]?.answers.bytesPerSession = 10_000
            $0.routes["docs"]?.answers.bytesPerCall = 8_000
            $0.routes["docs"]?.answers.bytesPerDay = 15_000
        }
        try await TunnelWorld.run(options) { world in
            func call(_ name: String, _ path: String) async throws -> TunnelClient.Answer {
                var client = try await TunnelClient.open(world, .splice, as: try world.runtime { $0.client = name })
                defer { client.stream.close() }
                return try await client.call("GET", path)
            }
            let tooLarge = try await call("a", "/large/8001")
            #expect(tooLarge.status == 429 && tooLarge.body.contains("answer_budget"))
            #expect(try await call("a", "/large/8000").body.utf8.count == 8000)
            await #expect(throws: (any Error).self) { _ = try await call("a", "/large/7000") }
            #expect(try await call("a", "/large/2000").body.utf8.count == 2000)
            let asked = world.upstream.now.heads.count
            #expect(try await call("a", "/large/1").status == 429)
            #expect(world.upstream.now.heads.count == asked)
            // Another caller has its own, within the route's day.
            #expect(try await call("b", "/large/5000").body.utf8.count == 5000)
            #expect(try await call("b", "/large/1").status == 429)
        }
    }
}
