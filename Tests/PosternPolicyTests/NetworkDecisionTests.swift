import PosternJSON
import SeededRandom
import Testing

@testable import PosternPolicy

@Suite("Network decisions")
struct NetworkDecisionTests {
    private func policy(_ text: String) throws -> NetworkPolicy { try NetworkPolicy(json: try JSON(parsing: text)) }

    private func ask(
        _ policy: NetworkPolicy, _ host: String, _ port: UInt16 = 443, _ method: String? = nil, _ path: String = "/", encrypted: Bool = true,
        credentials: Set<String> = [], foreign: String? = nil
    ) throws -> NetworkDecision {
        let content = method.map {
            NetworkRequest.Content(method: $0, path: path, encrypted: encrypted, credentials: credentials, foreignCredential: foreign)
        }
        return policy.decide(NetworkRequest(host: try CanonicalHost(host), port: port, content: content))
    }

    @Test("an empty policy and an empty list allow nothing")
    func empty() throws {
        for policy in [NetworkPolicy(), try policy(#"{"rules":[]}"#), try policy("{}")] {
            #expect(try ask(policy, "example.com").verdict == .deny)
            #expect(try ask(policy, "127.0.0.1", 80, "GET").verdict == .deny)
        }
    }

    @Test("deny wins wherever it stands")
    func denyWins() throws {
        let policy = try policy(
            #"{"rules":[{"id":"all","hosts":["*.example.com","example.com"]},{"id":"no","verdict":"deny","hosts":["secret.example.com"]}]}"#)
        #expect(try ask(policy, "a.example.com").rule == "all")
        let refused = try ask(policy, "SECRET.example.com.")
        #expect(refused.verdict == .deny && refused.rule == "no")
        #expect(try ask(policy, "secret.example.com", 8443).rule == "no")
    }

    @Test("ports: 80 and 443 unless named; the refusal says so")
    func ports() throws {
        let policy = try policy(#"{"rules":[{"id":"a","hosts":["a.com","b.com:8443"]},{"id":"c","hosts":["c.com"],"ports":[22]}]}"#)
        #expect(try ask(policy, "a.com", 80).verdict == .allow)
        let refused = try ask(policy, "a.com", 6379)
        #expect(refused.verdict == .deny && refused.reason.contains("port 6379") && refused.remedy.contains("\"a\""))
        #expect(try ask(policy, "b.com", 443).verdict == .deny)
        #expect(try ask(policy, "b.com", 8443).verdict == .allow)
        #expect(try ask(policy, "c.com", 22).verdict == .allow)
        #expect(try ask(policy, "c.com", 443).verdict == .deny)
    }

    @Test("methods and paths decide once the request is there")
    func content() throws {
        let policy = try policy(
            #"{"rules":[{"id":"read","hosts":["a.com"],"methods":["GET"],"paths":["/v1/*","/files/**"]},{"id":"no","verdict":"deny","hosts":["a.com"],"paths":["/files/private/**"]}]}"#
        )
        #expect(try ask(policy, "a.com").verdict == .allow)
        #expect(try ask(policy, "a.com", 443, "GET", "/v1/x").rule == "read")
        #expect(try ask(policy, "a.com", 443, "GET", "/v1/x/y").verdict == .deny)
        #expect(try ask(policy, "a.com", 443, "GET", "/files/x/y").verdict == .allow)
        #expect(try ask(policy, "a.com", 443, "GET", "/files/private/y").rule == "no")
        #expect(try ask(policy, "a.com", 443, "POST", "/v1/x").reason.contains("method POST"))
        #expect(try ask(policy, "a.com", 443, "GET", "/v2").reason.contains("path /v2"))
    }

    @Test("a rule with a credential allows requests with that credential only")
    func credential() throws {
        let policy = try policy(#"{"rules":[{"id":"api","hosts":["api.com"],"credential":"key"}]}"#)
        #expect(try ask(policy, "api.com", 443, "POST", credentials: ["key"]).credentials == ["key"])
        #expect(try ask(policy, "api.com", 443, "POST").verdict == .deny)
        #expect(try ask(policy, "api.com", 443, "POST", credentials: ["other"]).verdict == .deny)
        #expect(try ask(policy, "api.com", 443, "POST", credentials: ["key"], foreign: "x-api-key").reason.contains("x-api-key"))
    }

    @Test("an opaque host is TLS only, and a rule that would have to read it denies it")
    func opaque() throws {
        let policy = try policy(
            #"{"rules":[{"id":"o","hosts":["o.com","p.com"],"opaque":true,"max_sent":1000},{"id":"d","verdict":"deny","hosts":["p.com"],"paths":["/x"]}]}"#
        )
        let allowed = try ask(policy, "o.com")
        #expect(allowed.opaque && allowed.maximumSent == 1000)
        #expect(try ask(policy, "o.com", 80, "GET", encrypted: false).verdict == .deny)
        #expect(try ask(policy, "p.com").rule == "d")
    }

    @Test(
        "rules that contradict themselves are refused, with the place",
        arguments: [
            (#"{"rules":[{"hosts":[]}]}"#, "rules.0.hosts"), (#"{"rules":[{"hosts":["*"]}]}"#, "rules.0.hosts.0"),
            (#"{"rules":[{"hosts":["a.com"],"opaque":true,"max_sent":1,"methods":["GET"]}]}"#, "rules.0.opaque"),
            (#"{"rules":[{"hosts":["a.com"],"opaque":true}]}"#, "rules.0.max_sent"), (#"{"rules":[{"hosts":["a.com"],"port":[1]}]}"#, "rules.0.port"),
            (#"{"rules":[{"id":"a","hosts":["a.com"]},{"id":"a","hosts":["b.com"]}]}"#, "rules.1.id"),
            (#"{"rules":[{"id":"a b","hosts":["a.com"]}]}"#, "rules.0.id"), (#"{"rules":[{"hosts":["a.com"],"ports":[0]}]}"#, "rules.0.ports.0"),
            (#"{"rules":[{"hosts":["a.com"],"methods":["get"]}]}"#, "rules.0.methods.0"),
            (#"{"rules":[{"hosts":["a.com"],"paths":["v1"]}]}"#, "rules.0.paths.0"),
            (#"{"rules":[{"hosts":["a.com"],"verdict":"maybe"}]}"#, "rules.0.verdict"), (#"{"rule":[]}"#, "rule"),
            (#"{"addresses":["10.0.0.1/8"]}"#, "addresses.0"),
            (#"{"budgets":{"call":-1}}"#, "budgets.call"), (#"{"rules":[{"verdict":"deny","hosts":["a.com"],"credential":"x"}]}"#, "rules.0.verdict"),
        ])
    func brokenRules(text: String, place: String) throws {
        let error = try #require(throws: PolicyValueError.self) { try policy(text) }
        #expect(error.path.joined(separator: ".") == place, "\(error)")
    }

    @Test("a narrowed policy allows exactly what both allow, and says the same after JSON", arguments: 0..<40)
    func narrowing(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (one, other) = (try randomPolicy(&random), try randomPolicy(&random))
        let both = one.narrowed(by: other)
        #expect(both.narrowed(by: other) == both && both.narrowed(by: one) == both && one.narrowed(by: one) == one)
        #expect(try NetworkPolicy(json: try JSON(parsing: both.json.encoded)) == both)
        for host in ["a.com", "x.a.com", "b.com", "y.x.a.com", "evil.com"] {
            for port: UInt16 in [80, 443, 22] {
                for method in [nil, "GET", "POST"] as [String?] {
                    for path in ["/", "/v1/x", "/v2"] {
                        let allows = { (policy: NetworkPolicy) in
                            try self.ask(policy, host, port, method, path, credentials: ["key"]).verdict == .allow
                        }
                        #expect(try allows(both) == (try allows(one) && allows(other)))
                    }
                }
            }
        }
    }

    private func randomPolicy(_ random: inout SeededGenerator) throws -> NetworkPolicy {
        let hosts = ["a.com", "*.a.com", "b.com", "x.a.com", "*.x.a.com", "a.com:22", "*.a.com:80"]
        var rules: [NetworkRule] = []
        for index in 0..<Int.random(in: 0...4, using: &random) {
            var rule = NetworkRule(
                id: "r\(index)", Int.random(in: 0..<4, using: &random) == 0 ? .deny : .allow,
                hosts: try (0...1).map { _ in try HostPattern(hosts.randomElement(using: &random) ?? "") })
            if Bool.random(using: &random) { rule.ports = [[80], [443, 22], []].randomElement(using: &random) ?? [] }
            if Bool.random(using: &random) { rule.methods = ["GET"] }
            if Bool.random(using: &random) { rule.paths = [try PathPattern("/v1/**")] }
            if rule.verdict == .allow, Bool.random(using: &random) { rule.credential = "key" }
            rules.append(rule)
        }
        return NetworkPolicy(rules: rules, budgets: ByteBudgets(call: Bool.random(using: &random) ? 10 : nil, session: 5, overrun: .ask))
    }
}
