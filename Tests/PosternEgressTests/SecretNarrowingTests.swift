import NIOCore
import NIOHTTP1
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// A policy that becomes narrower takes secrets back: from new requests, from those that wait, and from those under way.
@Suite("Secrets that are withdrawn while a session lives", .timeLimit(.minutes(2)))
struct SecretNarrowingTests {
    static let value = "sk-live/9fGh2+KqZ81mNp_vX4"

    private static func secret(_ hosts: [String], schemes: [SecretBinding.Scheme] = [.bearer, .basic]) throws -> BoundSecret {
        var binding = SecretBinding(name: "key", hosts: try hosts.map { try HostPattern($0) })
        binding.schemes = schemes
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: SecretValue(value), using: &random))
        return try #require(BoundSecret(binding: binding, value: SecretValue(value), placeholder: placeholder))
    }

    private struct Scene: Sendable {
        let proxy: ProxyFixture
        let server: TestServer
        let host: String
        var secret: BoundSecret { proxy.secrets[0] }

        /// A request with the placeholder as a bearer token.
        func request(_ fields: String = "", body: String = "") -> String {
            let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
            return "\(body.isEmpty ? "GET" : "POST") / HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(length)Connection: close\r\n\r\n\(body)"
        }
        var bearer: String { "Authorization: Bearer \(secret.placeholder)\r\n" }
        func send(_ text: String) async throws -> String { try await proxy.https(host, name: "api.test", text) }
    }

    private func withScene(
        worker: @escaping ProxyFixture.Worker = { _ in }, answer: @escaping @Sendable (TestServer.Request) -> TestServer.Answer = { .init($0.text) },
        _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["api.test"]), answer)
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"id":"api","hosts":["\#(host)"]}]"#)
        setup.secrets = [try Self.secret([host, "b.test"])]
        setup.roots = try authority.pem
        setup.names = ["api.test": ["127.0.0.1"]]
        setup.worker = worker
        try await ProxyFixture.run(setup) { proxy in try await body(Scene(proxy: proxy, server: server, host: host)) }
        await server.stop()
    }

    @Test("a withdrawn secret is not sent, its placeholder is refused everywhere, and its value stays masked")
    func withdrawn() async throws {
        try await withScene(answer: { .init($0.text + " " + Self.value) }) { scene in
            #expect(try await scene.send(scene.request(scene.bearer)).hasPrefix("HTTP/1.1 200 "))
            scene.proxy.link.send(.secrets(session: "sesn_test", bindings: []))
            let refused = try await scene.send(scene.request(scene.bearer))
            #expect(refused.hasPrefix("HTTP/1.1 403 ") && refused.contains("may not use that secret any more"))
            let inBody = try await scene.send(scene.request(body: "key=\(scene.secret.placeholder)"))
            #expect(inBody.hasPrefix("HTTP/1.1 403 "))
            // What the service was given before it can still hand back.
            let echo = try await scene.send(scene.request())
            #expect(echo.hasPrefix("HTTP/1.1 200 ") && !echo.contains(Self.value) && echo.contains(scene.secret.placeholder))
            #expect(scene.server.received.map { $0.head.headers["authorization"] } == [["Bearer \(Self.value)"], []])
            #expect(scene.proxy.refusals.allSatisfy { $0.kind == .secret && $0.secret == "key" })
        }
    }

    @Test("a binding becomes narrower and never wider")
    func narrower() async throws {
        try await withScene { scene in
            let basic = "Authorization: Basic \(String(decoding: Base64.encode(Array("u:\(scene.secret.placeholder)".utf8)), as: UTF8.self))\r\n"
            var binding = scene.secret.binding
            binding.schemes = [.basic]
            scene.proxy.link.send(.secrets(session: "sesn_test", bindings: [binding]))
            #expect(try await scene.send(scene.request(scene.bearer)).hasPrefix("HTTP/1.1 403 "))
            #expect(try await scene.send(scene.request(basic)).hasPrefix("HTTP/1.1 200 "))
            // A worker that errs cannot give back what was taken.
            scene.proxy.link.send(.secrets(session: "sesn_test", bindings: [scene.secret.binding]))
            #expect(try await scene.send(scene.request(scene.bearer)).hasPrefix("HTTP/1.1 403 "))
            binding.hosts = [try HostPattern("b.test")]
            scene.proxy.link.send(.secrets(session: "sesn_test", bindings: [binding]))
            #expect(try await scene.send(scene.request(basic)).hasPrefix("HTTP/1.1 403 "))
            #expect(scene.server.received.count == 1)
        }
    }

    @Test("a request that waits for its record when its secret is withdrawn does not leave")
    func withdrawnWhileWaiting() async throws {
        let (gate, open) = AsyncStream<Void>.makeStream()
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let worker: ProxyFixture.Worker = { report in
            guard case .secretUsed = report else { return }
            ask.yield()
            for await _ in gate { return }
        }
        try await withScene(worker: worker) { scene in
            async let answer = scene.send(scene.request(scene.bearer))
            _ = await asked.first { _ in true }
            scene.proxy.link.send(.secrets(session: "sesn_test", bindings: []))
            open.finish()
            let got = try await answer
            #expect(got.hasPrefix("HTTP/1.1 403 ") && got.contains("became narrower"))
            #expect(scene.server.received.isEmpty)
        }
    }

    @Test("an upload under way with a secret that is withdrawn is cut; one without goes on")
    func underWay() async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["api.test"]))
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"id":"api","hosts":["\#(host)"]}]"#)
        setup.secrets = [try Self.secret([host])]
        setup.roots = try authority.pem
        setup.names = ["api.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            func begin(_ fields: String) async throws -> ByteStream {
                let stream = try await proxy.secure(host, name: "api.test")
                let head = "POST / HTTP/1.1\r\nHost: \(host)\r\n\(fields)Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nabcd\r\n"
                try await stream.write(Array(head.utf8))
                return stream
            }
            let bearing = try await begin("Authorization: Bearer \(proxy.secrets[0].placeholder)\r\n")
            let plain = try await begin("")
            await proxy.wait { $0.intents.count == 2 }
            while server.connections < 2 { try await Task.sleep(for: .milliseconds(2)) }
            proxy.link.send(.secrets(session: "sesn_test", bindings: []))
            let end = try await bearing.readAll()
            #expect(end.isEmpty || end.hasPrefix("HTTP/1.1 403 "))
            try await plain.write(Array("0\r\n\r\n".utf8))
            #expect(try await plain.readAll().hasPrefix("HTTP/1.1 200 "))
            #expect(server.received.map { $0.head.headers["authorization"] } == [[]])
        }
        await server.stop()
    }

    @Test("ports: a pattern without one means 443 on both sides")
    func ports() throws {
        let secret = try Self.secret(["a.test:80", "a.test"])
        var binding = secret.binding
        binding.hosts = [try HostPattern("a.test")]
        let narrowed = secret.narrowed(to: [binding])
        let host = try CanonicalHost("a.test")
        #expect(narrowed.binding.covers(host, port: 443) && !narrowed.binding.covers(host, port: 80))
        #expect(secret.narrowed(to: []).isWithdrawn && !secret.narrowed(to: []).binding.covers(host, port: 443))
        #expect(!secret.isWithdrawn && narrowed.value == secret.value && narrowed.placeholder == secret.placeholder)
    }

    @Test("commands that narrow say the same after their JSON")
    func commands() throws {
        let secret = try Self.secret(["a.test"])
        let forwards = [Forward(name: "f", listenPort: 5, target: try Authority("h:1"), kind: .tcp(maximumSent: 9))]
        let (secrets, forwarded) = (
            EgressCommand.secrets(session: "s", bindings: [secret.binding]), EgressCommand.forwards(session: "s", keep: forwards)
        )
        guard case .secrets("s", let bindings) = try EgressCommand(try JSON(parsing: secrets.message.body.encoded), descriptors: []),
            case .forwards("s", let kept) = try EgressCommand(try JSON(parsing: forwarded.message.body.encoded), descriptors: [])
        else {
            Issue.record("another command came out")
            return
        }
        #expect(bindings == [secret.binding] && kept == forwards)
        guard case .secrets("s", let none) = try EgressCommand(EgressCommand.secrets(session: "s", bindings: []).message.body, descriptors: []) else {
            Issue.record("another command came out")
            return
        }
        #expect(none.isEmpty)
    }
}

/// What the worker sends for a narrower policy.
@Suite("Commands for a narrower policy")
struct NarrowingCommandTests {
    @Test("secrets come before the policy; the password of a forward that is gone is withdrawn")
    func order() throws {
        var postgres = Forward.Postgres(role: "r", database: "d")
        postgres.secret = "db"
        var before = Policy()
        before.forwards = [
            Forward(name: "shop", listenPort: 5, target: try Authority("h:1"), kind: .postgres(postgres)),
            Forward(name: "queue", listenPort: 6, target: try Authority("h:2"), kind: .tcp(maximumSent: 9)),
        ]
        let bound = SecretBinding(name: "key", hosts: [try HostPattern("a.test")])
        before.secrets = [
            PolicySecret(name: "db", source: .variable(name: "D")), PolicySecret(name: "key", source: .variable(name: "K"), binding: bound),
        ]
        var after = before
        after.secrets.removeFirst()
        let types = EgressCommand.narrowing(from: before, to: after, digest: "d", session: "s").map { $0.message.body["type"]?.string ?? "" }
        #expect(types == ["secrets", "password", "narrow", "forwards"])
        let unchanged = EgressCommand.narrowing(from: before, to: before, digest: "d", session: "s")
        #expect(unchanged.map { $0.message.body["type"]?.string } == ["secrets", "narrow", "forwards"])
        guard case .secrets("s", let bindings) = unchanged[0], case .forwards("s", let forwards) = unchanged[2] else {
            Issue.record("another command came out")
            return
        }
        #expect(bindings == [bound] && forwards == before.forwards)
    }
}
