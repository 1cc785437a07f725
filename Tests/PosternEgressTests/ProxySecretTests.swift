import NIOCore
import NIOHTTP1
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

/// Secrets end to end: the value arrives where it should, and no form of it in what the sandbox gets.
@Suite("Secrets through the egress proxy", .timeLimit(.minutes(2)))
struct ProxySecretTests {
    static let value = "sk-live/9fGh2+KqZ81mNp_vX4"

    struct Scene: Sendable {
        let proxy: ProxyFixture
        let api: TestServer
        let other: TestServer
        let apiHost: String
        let otherHost: String
        var placeholder: String { proxy.secrets[0].placeholder }
    }

    /// `api.test` is bound to the secret, `other.test` is allowed and is not.
    private func withSecret(
        answer: @escaping @Sendable (TestServer.Request) -> TestServer.Answer = { .init($0.text) }, rule: String = "",
        schemes: [SecretBinding.Scheme] = [.bearer, .basic], body place: SecretBinding.Body? = nil,
        _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        let authority = try ForwardAuthority("Test roots")
        let tls = try authority.server(["api.test", "other.test"])
        let (api, other) = (try await TestServer.start(tls: tls, answer), try await TestServer.start(tls: tls))
        let (apiHost, otherHost) = ("api.test:\(api.port)", "other.test:\(other.port)")
        var binding = SecretBinding(name: "key", hosts: [try HostPattern(apiHost)])
        binding.schemes = schemes
        binding.body = place
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: SecretValue(Self.value), using: &random))
        var setup = try ProxyFixture.Setup(#"[{"id":"api","hosts":["\#(apiHost)"]\#(rule)},{"id":"other","hosts":["\#(otherHost)"]}]"#)
        setup.secrets = [try #require(BoundSecret(binding: binding, value: SecretValue(Self.value), placeholder: placeholder))]
        setup.roots = try authority.pem
        setup.names = ["api.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            try await body(Scene(proxy: proxy, api: api, other: other, apiHost: apiHost, otherHost: otherHost))
            // Whatever the test did: no report holds the value either.
            for report in proxy.reports { #expect(!"\(report.json.text)\(report)".contains(Self.value)) }
        }
        await api.stop()
        await other.stop()
    }

    private func request(_ host: String, _ target: String = "/", _ fields: String = "", body: String = "") -> String {
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return "\(body.isEmpty ? "GET" : "POST") \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(length)Connection: close\r\n\r\n\(body)"
    }

    @Test("the value arrives in its header, and an echo shows the placeholder")
    func echo() async throws {
        try await withSecret { scene in
            let fields = "Authorization: Bearer \(scene.placeholder)\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-3\r\n"
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/", fields))
            let seen = try #require(scene.api.received.first)
            #expect(seen.head.headers["authorization"] == ["Bearer \(Self.value)"])
            #expect(seen.head.headers["accept-encoding"] == ["identity"] && seen.head.headers["range"].isEmpty)
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && !answer.contains(Self.value) && answer.contains("Bearer \(scene.placeholder)"))
            #expect(
                scene.proxy.reports.contains { report in
                    if case .secretUsed(_, _, _, let names, _) = report { names == ["key"] } else { false }
                })
            // The outcome and the count of masked values come after the answer.
        }
    }

    @Test("no form of the value comes back: raw, base64 at three alignments, hex, URL, JSON, HTML, in the head too")
    func forms() async throws {
        try await withSecret(answer: { request in
            let value = String(request.head.headers["authorization"].first?.dropFirst(7) ?? "")
            let secret = BoundSecret(
                binding: SecretBinding(name: "x", hosts: []), value: SecretValue(value),
                placeholder: String(value.map { $0.isLetter ? "q" : $0.isNumber ? "7" : $0 }))
            var text = ""
            if let secret { for needle in PlaceholderNeedles.secrets(of: [secret]) { text += String(decoding: needle.bytes, as: UTF8.self) + "\n" } }
            for prefix in ["", "a", "ab", "abc"] {
                text += String(decoding: Base64.encode(Array((prefix + value + "zz").utf8)), as: UTF8.self) + "\n"
            }
            return .init(text, headers: ["x-echo": value, "location": "https://api.test/?token=\(value)", "set-cookie": "t=\(value)"])
        }) { scene in
            let fields = "Authorization: Bearer \(scene.placeholder)\r\n"
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/", fields))
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.utf8.count > 500)
            for needle in PlaceholderNeedles.secrets(of: scene.proxy.secrets) { #expect(!Bytes.contains(Array(answer.utf8), needle.bytes)) }
            #expect(answer.contains("x-echo: \(scene.placeholder)\r\n"))
        }
    }

    @Test("an answer that is compressed all the same is withheld")
    func compressed() async throws {
        try await withSecret(answer: { _ in .init("pretend gzip", headers: ["content-encoding": "gzip"]) }) { scene in
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost))
            #expect(answer.hasPrefix("HTTP/1.1 502 ") && answer.contains("compresses") && !answer.contains("pretend"))
        }
    }

    @Test(
        "a coding behind a harmless one is withheld too",
        arguments: [
            [("content-encoding", "identity"), ("content-encoding", "gzip")], [("content-encoding", "identity, br")],
            [("content-encoding", ""), ("Content-Encoding", "zstd")],
        ])
    func compressedTwice(fields: [(String, String)]) async throws {
        try await withSecret(answer: { _ in .init("pretend gzip", headers: HTTPHeaders(fields)) }) { scene in
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost))
            #expect(answer.hasPrefix("HTTP/1.1 502 ") && answer.contains("compresses") && !answer.contains("pretend"))
        }
    }

    @Test("Basic credentials are decoded and encoded again")
    func basic() async throws {
        try await withSecret { scene in
            let basic = String(decoding: Base64.encode(Array("git:\(scene.placeholder)".utf8)), as: UTF8.self)
            _ = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/", "Authorization: Basic \(basic)\r\n"))
            let expected = String(decoding: Base64.encode(Array("git:\(Self.value)".utf8)), as: UTF8.self)
            #expect(scene.api.received.first?.head.headers["authorization"] == ["Basic \(expected)"])
        }
    }

    @Test("a placeholder anywhere else is blocked and reported; nothing arrives")
    func misplaced() async throws {
        try await withSecret { scene in
            let held = scene.placeholder
            let bearer = "Authorization: Bearer \(held)\r\n"
            let escaped = held.utf8.map { "%" + String($0, radix: 16) }.joined()
            let large = String(repeating: "x", count: 200_000) + held + String(repeating: "x", count: 100_000)
            let cases: [(host: String, name: String, request: String)] = [
                (scene.otherHost, "other.test", request(scene.otherHost, "/", bearer)),
                (scene.apiHost, "api.test", request(scene.apiHost, "/\(escaped)")),
                (scene.apiHost, "api.test", request(scene.apiHost, "/?k=\(escaped)")),
                (scene.apiHost, "api.test", request(scene.apiHost, "/", "X-Key: \(held)\r\n")),
                (scene.apiHost, "api.test", request(scene.apiHost, "/", body: "key=\(held)")),
                (scene.otherHost, "other.test", request(scene.otherHost, "/", body: held)),
                (scene.otherHost, "other.test", request(scene.otherHost, "/", body: large)),
            ]
            for (host, name, text) in cases {
                let answer = try await scene.proxy.https(host, name: name, text)
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("placeholder of secret \"key\""))
            }
            #expect(scene.api.received.isEmpty && scene.other.received.isEmpty)
            #expect(scene.proxy.refusals.count == cases.count && scene.proxy.refusals.allSatisfy { $0.kind == .secret && $0.secret == "key" })
        }
    }

    @Test("a body is filled at its pointer; the framing stays true")
    func body() async throws {
        let place = SecretBinding.Body(method: "POST", path: try PathPattern("/login"), pointer: "/auth/token")
        try await withSecret(body: place) { scene in
            let json = #"{"auth":{"token":"\#(scene.placeholder)"},"n":1}"#
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/login", body: json))
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && !answer.contains(Self.value))
            #expect(String(decoding: scene.api.received.first?.body ?? [], as: UTF8.self) == #"{"auth":{"token":"\#(Self.value)"},"n":1}"#)
            let elsewhere = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/other", body: json))
            #expect(elsewhere.hasPrefix("HTTP/1.1 403 ") && scene.api.received.count == 1)
        }
    }

    @Test("a rule that pins a credential in the body wants it there")
    func pinnedInBody() async throws {
        let place = SecretBinding.Body(method: "POST", path: try PathPattern("/login"), pointer: "/token")
        try await withSecret(rule: #","credential":"key""#, body: place) { scene in
            let own = #"{"token":"sk-of-the-attacker"}"#
            let refused = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/login", body: own))
            #expect(refused.hasPrefix("HTTP/1.1 403 ") && scene.api.received.isEmpty)
            let filled = #"{"token":"\#(scene.placeholder)"}"#
            let allowed = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/login", body: filled))
            #expect(allowed.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("a secret does not leave unencrypted, whatever the port of its host")
    func unencrypted() async throws {
        try await withSecret { scene in
            let fields = "Authorization: Bearer \(scene.placeholder)\r\n"
            let answer = try await scene.proxy.raw(
                "GET http://\(scene.apiHost)/ HTTP/1.1\r\nHost: \(scene.apiHost)\r\n\(scene.proxy.authorization)\(fields)Connection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("placeholder"))
            #expect(scene.proxy.refusals.map(\.kind) == [.secret] && scene.api.connections == 0)
        }
    }

    @Test("a rule that pins the credential lets no other through")
    func pinned() async throws {
        try await withSecret(rule: #","credential":"key""#, schemes: [.bearer]) { scene in
            for fields in [
                "", "Authorization: Bearer sk-of-the-attacker\r\n", "Authorization: Bearer \(scene.placeholder)\r\nX-Api-Key: sk-of-the-attacker\r\n",
            ] {
                let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/", fields))
                #expect(answer.hasPrefix("HTTP/1.1 403 "))
            }
            #expect(scene.api.received.isEmpty)
            let fields = "Authorization: Bearer \(scene.placeholder)\r\n"
            let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, "/", fields))
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("where Basic may carry the pinned credential, a request without any is asked for it, and no other")
    func asked() async throws {
        try await withSecret(rule: #","credential":"key","paths":["/git/**"]"#, schemes: [.basic]) { scene in
            func answered(_ path: String, _ fields: String = "", body: String = "") async throws -> String {
                let answer = try await scene.proxy.https(scene.apiHost, name: "api.test", request(scene.apiHost, path, fields, body: body))
                #expect(answer.contains("\r\nWWW-Authenticate: Basic realm=\"postern\"\r\n") == answer.hasPrefix("HTTP/1.1 401 "))
                return String(answer.dropFirst(9).prefix(3))
            }
            func basic(_ password: String) -> String {
                "Authorization: Basic \(String(decoding: Base64.encode(Array("git:\(password)".utf8)), as: UTF8.self))\r\n"
            }
            for body in ["", "x"] {
                let status = try await answered("/git/refs", body: body)
                #expect(status == "401")
            }
            #expect(scene.proxy.refusals.map(\.kind) == [.authentication, .authentication])
            // What the credential would not make right, and what has brought another, is refused for good.
            for (path, fields) in [
                ("/other", ""), ("/git/refs", basic("somebody-elses")), ("/git/refs", "Authorization: Bearer x\r\n"),
                ("/git/refs", "X-Api-Key: x\r\n"),
            ] {
                let status = try await answered(path, fields)
                #expect(status == "403", "\(path) \(fields)")
            }
            #expect(scene.api.received.isEmpty)
            let allowed = try await answered("/git/refs", basic(scene.placeholder))
            #expect(allowed == "200" && scene.api.received.count == 1)
        }
    }

    /// A proxy that lets `host`, at `ws.test`, switch protocols, with a secret that is meant for another host.
    private static func upgrading(_ host: String) throws -> (ProxyFixture.Setup, placeholder: String) {
        var random = SystemRandomNumberGenerator()
        let placeholder = try #require(Placeholder.make(for: SecretValue(value), using: &random))
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"],"upgrades":["websocket"]}]"#)
        let binding = SecretBinding(name: "key", hosts: [try HostPattern("api.test")])
        setup.secrets = [try #require(BoundSecret(binding: binding, value: SecretValue(value), placeholder: placeholder))]
        setup.names = ["ws.test": ["127.0.0.1"]]
        return (setup, placeholder)
    }

    @Test("after a switch of protocols a placeholder does not leave, and nothing may compress what comes back")
    func switchedOut() async throws {
        let seen = TextLog()
        let server = try await RawServer.start { stream in
            var head = ""
            while !head.contains("\r\n\r\n") { head += String(buffer: try await stream.read() ?? ByteBuffer(string: "\r\n\r\n")) }
            seen.append(head)
            let extensions = head.contains("/agrees-by-itself") ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : ""
            try await stream.write(
                Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\(extensions)\r\nhello".utf8))
            while let bytes = try await stream.read() {
                seen.append(String(buffer: bytes))
                try await stream.write(Array("go".utf8))
            }
        }
        let host = "ws.test:\(server.port)"
        let (setup, placeholder) = try Self.upgrading(host)
        try await ProxyFixture.run(setup) { proxy in
            let fields =
                "Host: \(host)\r\n\(proxy.authorization)Connection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            let stream = try await proxy.connect()
            try await stream.write(Array("GET http://\(host)/ HTTP/1.1\r\n\(fields)".utf8))
            var answer = ""
            while !answer.hasSuffix("hello") { answer += String(buffer: try #require(try await stream.read(within: .seconds(20)))) }
            #expect(!seen.all[0].lowercased().contains("sec-websocket-extensions"))
            // In two pieces: what could become a placeholder is passed on, since the server may wait for it; its last part is not.
            try await stream.write(Array(placeholder.prefix(12).utf8))
            #expect(try await stream.read(within: .seconds(20)).map { String(buffer: $0) } == "go")
            try await stream.write(Array(placeholder.dropFirst(12).utf8))
            _ = try await stream.readAll()
            #expect(seen.all.dropFirst().joined() == String(placeholder.prefix(12)))
            await proxy.wait { !$0.refusals.isEmpty }
            #expect(proxy.refusals.last?.secret == "key" && proxy.refusals.last?.reason.contains("switch of protocols") == true)
            stream.close()
            let other = try await proxy.raw("GET http://\(host)/agrees-by-itself HTTP/1.1\r\n\(fields)")
            #expect(other.hasPrefix("HTTP/1.1 502 ") && other.contains("extension of WebSocket") && !other.contains("hello"))
        }
        await server.stop()
    }

    @Test("what a server sends together with its switch of protocols is masked too")
    func switched() async throws {
        let server = try await RawServer.start { stream in
            var seen = ""
            while !seen.contains("\r\n\r\n") { seen += String(buffer: try await stream.read() ?? ByteBuffer(string: "\r\n\r\n")) }
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            // Cut in the middle, so that one half comes with the head and the other one after it.
            try await stream.write(Array((head + "first \(Self.value) " + Self.value.prefix(9)).utf8))
            _ = try await stream.read()
            try await stream.write(Array((Self.value.dropFirst(9) + " last").utf8))
        }
        let host = "ws.test:\(server.port)"
        let (setup, placeholder) = try Self.upgrading(host)
        try await ProxyFixture.run(setup) { proxy in
            let stream = try await proxy.connect()
            let fields = "Host: \(host)\r\n\(proxy.authorization)Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            try await stream.write(Array("GET http://\(host)/ HTTP/1.1\r\n\(fields)".utf8))
            var answer = ""
            while !answer.contains(placeholder) { answer += String(buffer: try #require(try await stream.read(within: .seconds(20)))) }
            try await stream.write(Array("go on".utf8))
            answer += try await stream.readAll()
            #expect(answer.hasSuffix("first \(placeholder) \(placeholder) last"))
            #expect(!answer.contains(Self.value))
            stream.close()
        }
        await server.stop()
    }
}
