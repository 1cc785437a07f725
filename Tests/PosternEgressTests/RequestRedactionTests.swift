import NIOCore
import PosternGate
import PosternJSON
import PosternPolicy
import Testing

@testable import PosternEgress

/// The operator's redaction rules at the egress door, against a real server.
@Suite("Redaction of what goes out", .timeLimit(.minutes(2)))
struct RequestRedactionTests {
    private static let rules = RedactionRules(
        detectors: [.githubToken: .mask, .iban: .allow],
        patterns: [.init(name: "project", pattern: "PRJ-[0-9]{4}", action: .mask), .init(name: "tag", pattern: "tag-[a-z]{4}", action: .hash)],
        dictionaries: [.init(name: "customers", words: ["Umbrella Corp"], action: .block)])
    private static let iban = "DE89370400440532013000"

    private func withProxy(_ body: @escaping @Sendable (ProxyFixture, TestServer, String) async throws -> Void) async throws {
        let authority = try ForwardAuthority("Test roots")
        let server = try await TestServer.start(tls: try authority.server(["out.test"]))
        let host = "out.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"id":"out","hosts":["\#(host)"]}]"#)
        setup.roots = try authority.pem
        setup.names = ["out.test": ["127.0.0.1"]]
        setup.redaction = Self.rules
        try await ProxyFixture.run(setup) { try await body($0, server, host) }
        await server.stop()
    }

    private static func post(_ host: String, _ framing: String) -> String {
        "POST / HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\(framing)\r\n\r\n"
    }
    private static func whole(_ host: String, _ body: String) -> String { post(host, "Content-Length: \(body.utf8.count)") + body }
    private static func chunks(_ pieces: [String]) -> String {
        pieces.map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
    }
    private static func chunked(_ host: String, _ pieces: [String]) -> String { post(host, "Transfer-Encoding: chunked") + chunks(pieces) }

    private static func counted(_ proxy: ProxyFixture) -> [String: [String: Int]] {
        proxy.reports.reduce(into: [:]) { all, report in
            if case .redacted(_, let action, let counts) = report { all[action, default: [:]].merge(counts) { $0 + $1 } }
        }
    }

    @Test("a blocked word is refused before anything is sent, counted by its rule, and named nowhere")
    func blocks() async throws {
        try await withProxy { proxy, server, host in
            let requests = [
                Self.whole(host, "for Umbrella Corp only"), Self.chunked(host, ["for Umbr", "ella", " Corp only"]),
                Self.chunked(host, "for UMBRELLA CORP".map(String.init)),
            ]
            for request in requests {
                let answer = try await proxy.https(host, name: "out.test", request)
                #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("redaction rule \"customers\""))
            }
            #expect(server.connections == 0 && proxy.intents.isEmpty)
            #expect(proxy.refusals.map(\.kind) == [.redaction, .redaction, .redaction])
            #expect(Self.counted(proxy) == ["block": ["customers": 3]])
            for report in proxy.reports { #expect(!report.json.text.lowercased().contains("umbrella")) }
        }
    }

    @Test("what is masked or hashed is replaced, also across chunks, and the length is right")
    func replaces() async throws {
        try await withProxy { proxy, _, host in
            let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
            for request in [
                Self.whole(host, "a PRJ-1234 b \(token) \(Self.iban)"),
                Self.chunked(host, ["a PR", "J-12", "34 b ghp_", String(token.dropFirst(4)), " \(Self.iban)"]),
            ] {
                let answer = try await proxy.https(host, name: "out.test", request)
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
                #expect(answer.contains("a [redacted: project] b [redacted: github-token] \(Self.iban)"), "\(answer)")
            }
            let hashed = try await proxy.https(host, name: "out.test", Self.whole(host, "tag-abcd tag-abcd tag-wxyz"))
            let marks = hashed.matches(of: /\[redacted: tag [0-9a-f]{16}\]/).map { String($0.output) }
            #expect(marks.count == 3 && marks[0] == marks[1] && marks[1] != marks[2])
            _ = await proxy.outcomes(3)
            #expect(Self.counted(proxy) == ["mask": ["project": 2, "github-token": 2], "allow": ["iban": 2], "hash": ["tag": 3]])
        }
    }

    @Test("a long body with a promised length is cut where something would have to be replaced")
    func promisedLength() async throws {
        try await withProxy { proxy, server, host in
            let filler = String(repeating: "x ", count: PreparedCall.prefetched)
            let clean = try await proxy.https(host, name: "out.test", Self.whole(host, filler))
            #expect(clean.hasPrefix("HTTP/1.1 200 "))
            let before = server.received.count
            _ = try await proxy.https(host, name: "out.test", Self.whole(host, filler + "PRJ-1234" + filler))
            await proxy.wait { $0.refusals.contains { $0.kind == .redaction } }
            // It never was a whole request there.
            #expect(server.received.count == before)
            #expect(Self.counted(proxy) == ["block": ["project": 1]])
        }
    }

    @Test("a long body without a length is redacted as it passes")
    func longChunked() async throws {
        try await withProxy { proxy, server, host in
            let filler = String(repeating: "x ", count: 20_000)
            let answer = try await proxy.https(host, name: "out.test", Self.chunked(host, [filler, filler, "PRJ-", "1234", filler]))
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("[redacted: project]") && !answer.contains("PRJ-"))
            let before = server.received.count
            _ = try await proxy.https(host, name: "out.test", Self.chunked(host, [filler, filler, "Umbrella C", "orp ", filler]))
            await proxy.wait { $0.refusals.contains { $0.kind == .redaction } }
            #expect(server.received.count == before)
        }
    }

    @Test("a chunked body that stalls goes on in time, and is looked at all the same")
    func stalls() async throws {
        try await withProxy { proxy, server, host in
            let stream = try await proxy.secure(host, name: "out.test")
            try await stream.write(Array((Self.post(host, "Transfer-Encoding: chunked") + "4\r\nPRJ-\r\n").utf8))
            // It is sent on although its end has not come.
            await proxy.wait { !$0.intents.isEmpty }
            try await stream.write(Array(Self.chunks(["1234"]).utf8))
            let answer = try await stream.readAll()
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("[redacted: project]") && !answer.contains("PRJ-"), "\(answer)")
            stream.close()
            #expect(server.received.count == 1)
        }
    }

    @Test("rules that come while the session lives hold for the next request")
    func later() async throws {
        try await withProxy { proxy, _, host in
            let request = Self.whole(host, "word")
            let before = try await proxy.https(host, name: "out.test", request)
            #expect(before.hasPrefix("HTTP/1.1 200 "))
            var rules = Self.rules
            rules.patterns.append(.init(name: "word", pattern: "word", action: .block))
            proxy.link.send(.redaction(session: "sesn_test", rules))
            proxy.link.send(.resume(session: "sesn_test"))
            await proxy.wait { $0.reports.contains { if case .paused = $0 { true } else { false } } }
            let after = try await proxy.https(host, name: "out.test", request)
            #expect(after.hasPrefix("HTTP/1.1 403 "))
        }
    }

    @Test("rules say the same after their JSON")
    func roundTrip() throws {
        #expect(try RedactionRules(json: try JSON(parsing: Self.rules.json.encoded)) == Self.rules)
        #expect(throws: PolicyValueError.self) { try RedactionRules(json: ["detectors": ["nonsense": "mask"]]) }
    }
}
