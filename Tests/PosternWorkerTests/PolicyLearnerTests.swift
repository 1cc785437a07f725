import PosternEgress
import PosternPolicy
import Testing

@testable import PosternWorker

@Suite("Learning a policy from refusals")
struct PolicyLearnerTests {
    private func refused(
        _ destination: String, _ method: String?, _ path: String?, kind: EgressRefusal.Kind = .policy, rule: String? = nil
    ) throws -> EgressDecision {
        var decision = EgressDecision(time: "t", session: "s", .refused)
        decision.destination = try Authority(destination)
        (decision.method, decision.path, decision.kind, decision.rule, decision.reason) = (method, path, kind, rule, "a reason")
        return decision
    }

    private func base(_ network: String) throws -> Policy {
        try PolicyReader().read("version: 1\nname: base\nnetwork:\n\(network)", file: "base.yaml").policy
    }

    private func allows(_ policy: Policy, _ destination: String, _ method: String, _ path: String) throws -> Bool {
        let authority = try Authority(destination)
        let content = NetworkRequest.Content(method: method, path: path, encrypted: true)
        return policy.network.decide(NetworkRequest(host: authority.host, port: authority.port, content: content)).verdict == .allow
    }

    @Test("what was asked for is allowed, and nothing beside it")
    func narrowest() throws {
        var learner = PolicyLearner(base: nil)
        learner.take(try refused("a.example:443", "GET", "/v1/x"))
        learner.take(try refused("a.example:443", "GET", "/v1/x"))
        learner.take(try refused("a.example:443", "POST", "/v1/y*z"))
        learner.take(try refused("[fd00::1]:8443", "GET", "/"))
        var allowed = try refused("b.example:443", "GET", "/")
        allowed.event = .allowed
        learner.take(allowed)
        let policy = learner.policy
        #expect(policy.network.rules.map { $0.hosts.map(\.description) } == [["a.example:443"], ["a.example:443"], ["[fd00::1]:8443"]])
        #expect(try allows(policy, "a.example:443", "GET", "/v1/x"))
        #expect(try allows(policy, "a.example:443", "POST", "/v1/y*z"))
        for (place, method, path) in [
            ("a.example:443", "POST", "/v1/x"), ("a.example:443", "GET", "/v1/y*z"), ("a.example:443", "GET", "/v1/x/"),
            ("a.example:443", "GET", "/v1"),
            ("a.example:80", "GET", "/v1/x"), ("b.example:443", "GET", "/"), ("x.a.example:443", "GET", "/v1/x"),
            ("a.example:443", "POST", "/v1/y/q/z"),
        ] { #expect(try allows(policy, place, method, path) == false, "\(place) \(method) \(path)") }
        // It is a policy, and the same one when it is read again.
        let document = learner.document
        let read = try PolicyReader().read(document, file: "learned.yaml").policy
        #expect(read.network == policy.network && read.name == "learned")
        #expect(document.hasPrefix("# Learned from 4 refused requests. READ IT BEFORE USE"))
    }

    @Test("many paths become all below their common folder")
    func manyPaths() throws {
        var learner = PolicyLearner(base: nil)
        for number in 0...PolicyLearner.mostPaths { learner.take(try refused("a.example:443", "GET", "/api/items/\(number)")) }
        #expect(learner.policy.network.rules.first?.paths.map(\.description) == ["/api/items/**"])
        #expect(
            PolicyLearner.patterns(of: ["/" + String(repeating: "a", count: 400) + "/" + String(repeating: "b", count: 601)]).map(\.description) == [
                "/" + String(repeating: "a", count: 400) + "/**"
            ])
    }

    @Test("the base stays, and what no rule can lift is said and not offered")
    func againstABase() throws {
        let base = try base(
            """
              rules:
                - {id: learned-1, hosts: "a.example", methods: GET}
                - {id: no, verdict: deny, hosts: "evil.example"}
              upstream: {ca_file: /etc/ca.pem}
            """)
        var learner = PolicyLearner(base: base)
        learner.take(try refused("evil.example:443", "GET", "/", rule: "no"))
        learner.take(try refused("a.example:443", "GET", "/", rule: "learned-1"))
        learner.take(try refused("b.example:443", nil, nil))
        learner.take(try refused("c.example:443", "GET", "/", kind: .budget))
        #expect(!learner.hasLearned && learner.policy == base)
        learner.take(try refused("a.example:443", "PUT", "/p", rule: "learned-1"))
        var address = try refused("a.example:443", "GET", "/", kind: .address, rule: "learned-1")
        address.address = IPAddress("10.0.0.7")
        learner.take(address)
        address.address = IPAddress("169.254.169.254")
        learner.take(address)
        // Asked for as they are.
        learner.take(try refused("10.0.0.8:80", "GET", "/"))
        learner.take(try refused("169.254.169.254:80", "GET", "/"))
        #expect(learner.policy.network.rules.map(\.id) == ["learned-1", "no", "learned-2", "learned-3"])
        #expect(learner.policy.network.addresses.allowed.map(\.description) == ["10.0.0.7", "10.0.0.8"])
        let read = try PolicyReader().read(learner.document, file: "x.yaml").policy
        #expect(read == learner.policy)
        for text in [
            "evil.example:443: a reason", "b.example:443: the connection ended before a request", "c.example:443: a reason",
            "169.254.169.254:80: a reason",
        ] {
            #expect(learner.document.contains("#   \(text)"), "\(text)")
        }
    }

    @Test("text from inside the sandbox is no line of the document")
    func hostileText() throws {
        var learner = PolicyLearner(base: nil)
        var decision = try refused("a.example:443", "GET", "/", kind: .secret)
        decision.reason = "x\nnetwork: {rules: [{hosts: evil.example}]}\u{2028}y"
        learner.take(decision)
        learner.take(try refused("a.example:443", "GET", "/: \"}]\\n- hosts: 'evil.example'"))
        let policy = try PolicyReader().read(learner.document, file: "x.yaml").policy
        #expect(try allows(policy, "evil.example:443", "GET", "/") == false)
    }

    @Test("a secret that the policy has pins the rule")
    func credential() throws {
        let base = try PolicyReader().read(
            "version: 1\nname: b\nsecrets: {k: {from: {variable: K}, hosts: a.example, variable: T}}\n", file: "b.yaml"
        ).policy
        var decision = try refused("a.example:443", "GET", "/")
        decision.credentials = ["k"]
        var (known, unknown) = (PolicyLearner(base: base), PolicyLearner(base: nil))
        known.take(decision)
        unknown.take(decision)
        #expect(known.policy.network.rules.map(\.credential) == ["k"] && unknown.policy.network.rules.map(\.credential) == [nil])
        #expect(unknown.document.contains("pin the rule to it"))
    }
}
