import Foundation
import NIOCore
import NIOHTTP1
import PosternHTTP
import PosternPolicy
import Testing

@testable import PosternEgress

@Suite("Calls through the egress proxy", .timeLimit(.minutes(2)))
struct ProxyCallTests {
    /// One TLS server `api.test`, allowed by rule "api".
    private func withServer(
        rule: String = "", budgets: ByteBudgets = .init(), limits: EgressConfiguration.Limits = .init(),
        worker: @escaping ProxyFixture.Worker = { _ in },
        answer: @escaping @Sendable (TestServer.Request) -> TestServer.Answer = { .init($0.text) },
        _ body: @escaping @Sendable (ProxyFixture, TestServer, String) async throws -> Void
    ) async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["api.test"]), answer)
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"id":"api","hosts":["\#(host)"]\#(rule)}]"#, budgets: budgets)
        setup.roots = try authority.pem
        setup.names = ["api.test": ["127.0.0.1"]]
        setup.worker = worker
        setup.limits = limits
        try await ProxyFixture.run(setup) { try await body($0, server, host) }
        await server.stop()
    }

    private func get(_ host: String, _ path: String = "/", _ fields: String = "", method: String = "GET", body: String = "") -> String {
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(length)Connection: close\r\n\r\n\(body)"
    }

    @Test("nothing goes upstream before the intent is recorded; the outcome follows")
    func intentFirst() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let worker: ProxyFixture.Worker = { report in
            guard case .intent = report else { return }
            ask.yield()
            for await _ in gate { return }
        }
        try await withServer(worker: worker) { proxy, server, host in
            let request = get(host, "/one?secret=x", method: "POST", body: "hello")
            async let answer = proxy.https(host, name: "api.test", request)
            _ = await asked.first { _ in true }
            #expect(server.connections == 0)
            open.finish()
            let got = try await answer
            #expect(got.hasPrefix("HTTP/1.1 200 "))
            let intent = try #require(proxy.intents.first)
            #expect(intent.kind == .https && intent.destination.description == host && intent.address?.description == "127.0.0.1")
            #expect(intent.rule == "api" && intent.method == "POST" && intent.path == "/one" && intent.policyDigest == "digest-1")
            let outcome = try #require(await proxy.outcomes(1).first)
            #expect(outcome.status == 200 && outcome.failure == nil && outcome.sent > 5 && outcome.received > 0)
        }
    }

    @Test("a worker that is gone means that nothing leaves")
    func workerGone() async throws {
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let (never, hold) = AsyncStream<Void>.makeStream()
        try await withServer(worker: { _ in
            ask.yield()
            for await _ in never {}
        }) { proxy, server, host in
            let request = get(host)
            async let answer = proxy.https(host, name: "api.test", request)
            _ = await asked.first { _ in true }
            proxy.link.close()
            hold.finish()
            let got = try await answer
            #expect(got.isEmpty && server.connections == 0)
        }
    }

    @Test("one connection carries many requests, up and down")
    func keepAlive() async throws {
        // However late a busy machine lets the next request come.
        var limits = EgressConfiguration.Limits()
        limits.freshMilliseconds = 60_000
        try await withServer(limits: limits) { proxy, server, host in
            let stream = try await proxy.secure(host, name: "api.test")
            var reader = MessageReader(stream)
            for index in 0..<20 {
                let body = String(repeating: "x", count: index * 1000)
                try await stream.write(
                    Array("POST /\(index) HTTP/1.1\r\nHost: \(host)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8))
                let lines = try #require(try await reader.head(idle: .seconds(20), whole: .seconds(20)))
                let head = try ResponseHead(lines: lines)
                var framing = BodyReader(try BodyFraming(response: head, to: "POST"))
                var answer = ""
                while let part = try await reader.part(of: &framing, within: .seconds(20)) { answer += String(buffer: part) }
                #expect(head.status == 200 && answer.hasPrefix("POST /\(index)\n") && answer.hasSuffix(body))
            }
            stream.close()
            #expect(server.connections == 1 && server.received.count == 20)
        }
    }

    @Test("methods and paths are held inside TLS; a refusal keeps the connection")
    func content() async throws {
        try await withServer(rule: #","methods":["GET"],"paths":["/v1/**"]"#) { proxy, server, host in
            let stream = try await proxy.secure(host, name: "api.test")
            var reader = MessageReader(stream)
            for (target, status) in [("/v1/a", 200), ("/v2", 403), ("/v1/../v2", 400)] {
                try await stream.write(Array("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8))
                let lines = try #require(try await reader.head(idle: .seconds(20), whole: .seconds(20)))
                let head = try ResponseHead(lines: lines)
                #expect(head.status == status)
                if status == 403 { #expect(head.fields.named("postern-egress-rule").first?.text == "api") }
                var framing = BodyReader(try BodyFraming(response: head, to: "GET"))
                while try await reader.part(of: &framing, within: .seconds(20)) != nil {}
            }
            stream.close()
            #expect(server.received.map(\.head.uri) == ["/v1/a"])
            #expect(
                try await proxy.https(host, name: "api.test", get(host, "/v1/a", method: "POST", body: "x")).contains("method POST is not allowed"))
        }
    }

    @Test("the upstream certificate has to be the host's", arguments: ["wrong name", "wrong root"])
    func upstreamCertificate(what: String) async throws {
        let (trusted, foreign) = (try ForwardAuthority("Test roots"), try ForwardAuthority("Foreign roots"))
        let tls = what == "wrong name" ? try trusted.server(["other.test"]) : try foreign.server(["api.test"])
        let server = try await TestServer.start(tls: tls)
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#)
        setup.roots = try trusted.pem
        setup.names = ["api.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            let answer = try await proxy.https(host, name: "api.test", get(host))
            #expect(answer.hasPrefix("HTTP/1.1 502 "))
            let outcome = await proxy.outcomes(1).first
            #expect(server.received.isEmpty && outcome?.failure != nil)
        }
        await server.stop()
    }

    @Test("a budget stops a call before its bytes leave; the perimeter can grant more")
    func budgets() async throws {
        let budgets = ByteBudgets(session: 2000, overrun: .ask)
        try await withServer(budgets: budgets) { proxy, server, host in
            let small = get(host, method: "POST", body: "small")
            let large = get(host, method: "POST", body: String(repeating: "y", count: 3000))
            #expect(try await proxy.https(host, name: "api.test", small).hasPrefix("HTTP/1.1 200 "))
            let refused = try await proxy.https(host, name: "api.test", large)
            #expect(refused.hasPrefix("HTTP/1.1 403 ") && refused.contains("budget of 2000 bytes per session"))
            #expect(server.received.count == 1)
            proxy.grant([5000])
            #expect(try await proxy.https(host, name: "api.test", large).hasPrefix("HTTP/1.1 200 "))
            #expect(server.received.count == 2 && proxy.refusals.map(\.kind) == [.budget])
        }
    }

    @Test("a policy that becomes narrower while a call waits for its record stops that call")
    func narrowedWhileWaiting() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let worker: ProxyFixture.Worker = { report in
            guard case .intent = report else { return }
            ask.yield()
            for await _ in gate { return }
        }
        try await withServer(worker: worker) { proxy, server, host in
            let request = get(host)
            async let answer = proxy.https(host, name: "api.test", request)
            _ = await asked.first { _ in true }
            proxy.link.send(.narrow(session: "sesn_test", NetworkPolicy(), digest: "digest-2"))
            open.finish()
            let got = try await answer
            #expect(!got.hasPrefix("HTTP/1.1 200 ") && server.received.isEmpty)
        }
    }

    @Test("a rule's bound cuts a streamed upload")
    func maximumSent() async throws {
        try await withServer(rule: #","max_sent":200000"#) { proxy, server, host in
            let body = String(repeating: "z", count: 1 << 20)
            let answer = try await proxy.https(host, name: "api.test", get(host, method: "POST", body: body))
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 403 "))
            #expect(server.received.isEmpty && proxy.refusals.map(\.kind) == [.budget])
            let outcome = await proxy.outcomes(1).first
            #expect((outcome?.sent ?? 0) <= 200_000)
        }
    }

    @Test("a narrower policy cuts what is under way")
    func narrowed() async throws {
        let server = try await RawServer.start { stream in
            _ = try await stream.read()
            try await stream.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".utf8))
            _ = try await stream.read()
        }
        let host = "slow.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#)
        setup.names = ["slow.test": ["127.0.0.1"]]
        let wide = setup.policy
        try await ProxyFixture.run(setup) { proxy in
            let stream = try await proxy.connect()
            try await stream.write(Array("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)\r\n".utf8))
            var answer = ""
            while !answer.hasSuffix("half") { answer += String(buffer: try #require(try await stream.read(within: .seconds(20)))) }
            let clock = ContinuousClock()
            let start = clock.now
            proxy.link.send(.narrow(session: "sesn_test", NetworkPolicy(), digest: "digest-2"))
            #expect(try await stream.readAll().isEmpty)
            #expect(clock.now - start < .seconds(1))
            // A wider policy than the present one does not widen it again.
            proxy.link.send(.narrow(session: "sesn_test", wide, digest: "digest-3"))
            #expect(
                try await proxy.raw("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Connection: close\r\n\r\n")
                    .hasPrefix("HTTP/1.1 403 "))
        }
        await server.stop()
    }

    @Test(
        "answers that two parsers read differently do not reach the client",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
            "",
        ])
    func hostileAnswers(text: String) async throws {
        let server = try await RawServer.start { stream in
            _ = try await stream.read()
            try await stream.write(Array(text.utf8))
            await stream.closeOutput()
        }
        let host = "hostile.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#)
        setup.names = ["hostile.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            let answer = try await proxy.raw("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 502 "))
        }
        await server.stop()
    }

    @Test("a body that is cut off upstream is cut off for the client; one that ends with the connection is whole")
    func cutOff() async throws {
        for (text, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\nhalf", true),
        ] {
            let server = try await RawServer.start { stream in
                _ = try await stream.read()
                try await stream.write(Array(text.utf8))
                await stream.closeOutput()
            }
            let host = "cut.test:\(server.port)"
            var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#)
            setup.names = ["cut.test": ["127.0.0.1"]]
            try await ProxyFixture.run(setup) { proxy in
                let answer = try await proxy.raw(
                    "GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Connection: close\r\n\r\n")
                #expect(answer.contains("half") && answer.hasSuffix("\r\n0\r\n\r\n") == whole)
                let outcome = await proxy.outcomes(1).first
                #expect((outcome?.failure == nil) == whole)
            }
            await server.stop()
        }
    }

    @Test("a named upgrade passes bytes both ways, counted")
    func upgrade() async throws {
        let server = try await RawServer.start { stream in
            var seen = ""
            while !seen.contains("\r\n\r\n") { seen += String(buffer: try await stream.read() ?? ByteBuffer(string: "\r\n\r\n")) }
            try await stream.write(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst,".utf8))
            while let bytes = try await stream.read() { try await stream.write(bytes) }
        }
        let host = "ws.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"],"upgrades":["websocket"]}]"#)
        setup.names = ["ws.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            let stream = try await proxy.connect()
            try await stream.write(
                Array(
                    "GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".utf8))
            var answer = ""
            while !answer.hasSuffix("first,") { answer += String(buffer: try #require(try await stream.read(within: .seconds(20)))) }
            #expect(answer.hasPrefix("HTTP/1.1 101 "))
            try await stream.write(Array("ping".utf8))
            #expect(try await stream.read(within: .seconds(20)).map { String(buffer: $0) } == "ping")
            await stream.closeOutput()
            _ = try await stream.readAll()
            stream.close()
        }
        await server.stop()
    }

    @Test("opaque TLS ends at the server itself, counted and bounded")
    func opaque() async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["opaque.test"]))
        let host = "opaque.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"id":"o","hosts":["\#(host)"],"opaque":true,"max_sent":20000}]"#)
        setup.names = ["opaque.test": ["127.0.0.1"]]
        let root = try authority.pem
        try await ProxyFixture.run(setup) { proxy in
            let answer = try await proxy.https(host, name: "opaque.test", root: root, get(host, "/o"))
            #expect(answer.contains("GET /o"))
            #expect(proxy.intents.first?.kind == .tunnel && proxy.intents.first?.path == nil)
            let large = get(host, method: "POST", body: String(repeating: "q", count: 100_000))
            #expect(try await proxy.https(host, name: "opaque.test", root: root, large).isEmpty)
            let outcome = await proxy.outcomes(2).last
            #expect(server.received.count == 1 && outcome?.failure?.contains("max_sent") == true)
        }
        await server.stop()
    }

    @Test("through a corporate proxy: by name, authenticated, and the certificate is still the server's")
    func parentProxy() async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["api.test"]))
        let target = server.port
        let asked = TextLog()
        let parent = try await RawServer.start { stream in
            var head = ""
            while !head.contains("\r\n\r\n") { head += String(buffer: try await stream.read() ?? ByteBuffer(string: "\r\n\r\n")) }
            asked.append(head)
            let upstream = try await ForwardTestDialer(port: target).dial(try Authority("x:1"))
            let other = try await ByteStream.attach(to: upstream)
            try await stream.write(Array("HTTP/1.1 200 OK\r\n\r\n".utf8))
            _ = await Splice(client: stream, upstream: other, maximumSent: nil, maximumReceived: nil, idle: .seconds(20))
                .run(first: ByteBuffer(), call: .init(host: try CanonicalHost("x"))) { _, _ in }
        }
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)","10.0.0.1:443","127.0.0.1:\#(target)"]}]"#)
        setup.roots = try authority.pem
        setup.parent = try Authority("127.0.0.1:\(parent.port)")
        try await ProxyFixture.run(setup) { proxy in
            #expect(try await proxy.https(host, name: "api.test", get(host, "/p")).contains("GET /p"))
            #expect(asked.all.count == 1 && asked.all[0].hasPrefix("CONNECT \(host) HTTP/1.1\r\n"))
            let literal = try await proxy.raw(
                "GET http://10.0.0.1:443/ HTTP/1.1\r\nHost: 10.0.0.1:443\r\n\(proxy.authorization)Connection: close\r\n\r\n")
            #expect(literal.hasPrefix("HTTP/1.1 403 "))
            // The parent proxy is at 127.0.0.1 itself: a certificate for that would be held against the wrong end of the connection.
            let before = asked.all.count
            let address = try await proxy.https("127.0.0.1:\(target)", name: nil, get("127.0.0.1:\(target)", "/by-address"))
            #expect(address.hasPrefix("HTTP/1.1 403 ") && address.contains("cannot be verified through the corporate proxy"))
            #expect(address.contains("Remedy: ask for the host by its name") && asked.all.count == before)
        }
        await server.stop()
        await parent.stop()
    }
}
