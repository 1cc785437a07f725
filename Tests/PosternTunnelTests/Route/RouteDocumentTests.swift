import Foundation
import NIOCore
import PosternConnector
import PosternGate
import PosternPolicy
import PosternTunnelWire
import Testing

/// What `connector.yaml` says of a route's limits, answers, callers and client certificate.
@Suite("A route in the connector's document")
struct RouteDocumentTests {
    private static func route(_ more: String, upstream: String = "https://10.0.0.7:8080") throws(PolicyProblems) -> ConnectorConfiguration.Route? {
        let text = ConnectorConfigurationTests.good.replacing(
            "    headers:\n      Authorization: {file: token}\n",
            with: more.contains("headers") ? "" : "    headers:\n      Authorization: {file: token}\n"
        )
        .replacing("    upstream: http://10.0.0.7:8080\n", with: "    upstream: \(upstream)\n\(more)")
        .replacing("    callers: {clients: [laptop], agents: [agent_1]}\n", with: more.contains("callers") ? "" : "    callers: {any: true}\n")
        return try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h").routes["docs"]
    }

    private static func problems(_ more: String, upstream: String = "https://10.0.0.7:8080") -> [String] {
        do throws(PolicyProblems) {
            _ = try route(more, upstream: upstream)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test("limits are read with their units, and have bounds where nothing is said")
    func limits() throws {
        let without = try #require(try Self.route(""))
        #expect(without.limits == RouteLimits() && without.limits.concurrency > without.limits.concurrencyPerCaller)
        let limits = try #require(
            try Self.route(
                """
                    limits:
                      concurrency: 8
                      concurrency_per_caller: 2
                      request_bytes: 1MiB
                      answer_bytes: 2048
                      request_bytes_per_second: 0
                      head: 5s
                      answer: 10m
                      idle: 90s
                      take: 500ms
                      connect: 2s
                      linger: 0s
                      call: 1h

                """)
        ).limits
        var expected = RouteLimits()
        expected.concurrency = 8
        expected.concurrencyPerCaller = 2
        expected.requestBytes = 1 << 20
        expected.answerBytes = 2048
        expected.requestRate = 0
        (expected.head, expected.answer, expected.idle) = (.seconds(5), .minutes(10), .seconds(90))
        (expected.take, expected.connect, expected.linger, expected.call) = (.milliseconds(500), .seconds(2), .zero, .hours(1))
        #expect(limits == expected)
        // One caller has no more than there are.
        #expect(try #require(try Self.route("    limits: {concurrency: 3}\n")).limits.concurrencyPerCaller == 3)
    }

    @Test("what an answer may hold is read as a list and as a mapping")
    func answers() throws {
        let list = try #require(try Self.route("    answers: {bytes_per_session: 1GiB, redact: [jwt, email]}\n")).answers
        #expect(list.redact == [.jwt: .mask, .email: .mask] && list.bytesPerSession == 1 << 30 && list.bytesPerCall == nil)
        let map = try #require(try Self.route("    answers: {bytes_per_call: 4096, bytes_per_day: 1TiB, redact: {jwt: block, iban: hash}}\n")).answers
        #expect(map.redact == [.jwt: .block, .iban: .hash] && map.bytesPerCall == 4096 && map.bytesPerDay == 1 << 40)
    }

    @Test("an injected value is in a file or in a variable that is not Postern's own, never in the document")
    func headers() throws {
        let good = "    headers: {X-A: {from_environment: UPSTREAM_TOKEN}, X-B: {file: b, mask: false}}\n"
        let headers = try #require(try Self.route(good)).headers
        #expect(headers == [.init(name: "X-A", .environment("UPSTREAM_TOKEN")), .init(name: "X-B", file: "b", isMasked: false)])
        for (header, rule) in [
            ("{from_environment: POSTERN_API_KEY}", "begins with POSTERN_"), ("{from_environment: 1A}", "must be the name of a variable"),
            ("{from_environment: A, file: b}", "stands beside from_environment"), ("{}", "headers.X-A.file: is missing"),
            ("{from_environment: [A]}", "must be text"), ("{value: secret}", "is no known key here"), ("secret", "must be a mapping"),
        ] {
            let found = Self.problems("    headers: {X-A: \(header)}\n")
            #expect(found.contains { $0.contains(rule) }, "\(rule): \(found)")
        }
    }

    @Test("payloads in the log need a log and a policy, and have a bound")
    func audit() throws {
        func read(_ more: String, log: String = "audit: {file: audit.jsonl}\n") throws(PolicyProblems) -> RouteAudit? {
            let text =
                log
                + ConnectorConfigurationTests.good.replacing(
                    "    upstream: http://10.0.0.7:8080\n", with: "    upstream: http://10.0.0.7:8080\n\(more)")
            return try ConnectorConfiguration(text: text, file: "connector.yaml", hostName: "h").routes["docs"]?.audit
        }
        func problems(_ more: String, log: String = "audit: {file: audit.jsonl}\n") -> String {
            do throws(PolicyProblems) { _ = try read(more, log: log) } catch { return "\(error)" }
            return ""
        }
        let policy = "    policy: {tools: {allow: [a]}}\n"
        let plain = try #require(try read(policy))
        #expect(!plain.arguments && !plain.results && plain.payloadBytes == 16 << 10)
        let both = try #require(try read(policy + "    audit: {payloads: both, payload_bytes: 4KiB}\n"))
        #expect(both.arguments && both.results && both.payloadBytes == 4096)
        let results = try #require(try read(policy + "    audit: {payloads: results}\n"))
        #expect(!results.arguments && results.results)
        #expect(problems("    audit: {payloads: none}\n", log: "").isEmpty)
        #expect(problems("    audit: {payloads: both}\n").contains("without a policy none is read"))
        #expect(problems(policy + "    audit: {payloads: arguments}\n", log: "").contains("no log to be in"))
        #expect(problems(policy + "    audit: {payloads: all}\n").contains("none, arguments, results, both"))
        #expect(problems(policy + "    audit: {payloads: both, payload_bytes: 1MiB}\n").contains("64KiB"))
        #expect(problems(policy + "    audit: {file: x}\n").contains("is no known key here"))
    }

    @Test("agents are named by id, by version and by configuration, and a certificate that does not say it does not pass")
    func agents() throws {
        let digest = "sha256:" + String(repeating: "ab", count: 32)
        let callers = try #require(
            try Self.route(
                "    callers: {agents: [agent_any, {id: agent_v, version: 3}, {id: agent_c, configuration: \"\(digest)\"}]}\n")
        ).callers
        func allows(_ agent: String, _ version: Int? = nil, _ configuration: String? = nil) -> Bool {
            callers.allow(
                RuntimeIdentity(
                    tunnelID: "tnl_1", workspaceID: "wrkspc_1", agentID: agent, agentVersion: version, configurationDigest: configuration))
        }
        #expect(allows("agent_any") && allows("agent_any", 7, digest))
        #expect(allows("agent_v", 3) && !allows("agent_v", 4) && !allows("agent_v") && !allows("agent_v", 30))
        #expect(allows("agent_c", nil, digest) && !allows("agent_c") && !allows("agent_c", 3, "sha256:" + String(repeating: "00", count: 32)))
        #expect(!allows("agent_x", 3, digest))
    }

    @Test(
        "what does not fit is refused with its place",
        arguments: [
            ("    limits: {concurrency: 0}\n", "whole number from 1 to 10000"), ("    limits: {idle: 30}\n", "with its unit"),
            ("    limits: {idle: 2d}\n", "to 1d"), ("    limits: {request_bytes: 10}\n", "bytes from 1KiB"),
            ("    limits: {timeout: 3s}\n", "is no known key"), ("    limits: {linger: 11m}\n", "from 0ms to 10m"),
            ("    answers: {redact: [passwords]}\n", "must be one of aws-access-key"),
            ("    answers: {redact: {jwt: hide}}\n", "allow, hash, mask, block"),
            ("    answers: {redact: {pass: mask}}\n", "must be one of aws-access-key"),
            ("    callers: {agents: [{id: a, version: 0}]}\n", "whole number from 1"),
            ("    callers: {agents: [{version: 1}]}\n", "agents[0].id: is missing"),
            ("    callers: {agents: [{id: a, configuration: abc}]}\n", "64 hexadecimal digits"),
            ("    client_certificate: {certificate_file: a}\n", "key_file: is missing"),
        ])
    func refusals(more: String, rule: String) {
        let problems = Self.problems(more)
        #expect(problems.contains { $0.contains(rule) && $0.hasPrefix("connector.yaml:") }, "\(problems)")
    }

    @Test("a client certificate is for https")
    func clientCertificate() throws {
        let more = "    client_certificate: {certificate_file: client.pem, key_file: client.key}\n"
        #expect(try #require(try Self.route(more)).clientCertificate == .init(certificateFile: "client.pem", keyFile: "client.key"))
        #expect(Self.problems(more, upstream: "http://10.0.0.7:8080").contains { $0.contains("needs an upstream with https") })
    }
}
