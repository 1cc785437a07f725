import PosternJSON
import SeededRandom

@testable import PosternPolicy

/// Policies by chance, from a small vocabulary so that they meet often. The same seed gives the same policy.
struct PolicyGenerator: RandomNumberGenerator {
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15) }

    mutating func next() -> UInt64 { random.next() }

    mutating func policy() -> Policy {
        var policy = Policy()
        policy.profile = one(of: Profile.allCases)
        policy.files = FileRules(read: some(of: paths), write: some(of: paths), hidden: some(of: globs), protected: some(of: globs))
        policy.workspace = one(of: WorkspaceMode.allCases)
        policy.network = NetworkPolicy(rules: rules(), addresses: AddressPolicy(allowed: some(of: ranges)).sorted, budgets: budgets())
        policy.egress = one(of: EgressMode.allCases)
        policy.secrets = secrets()
        policy.forwards = forwards(secrets: policy.secrets.map(\.name))
        for field in ResourceLimits.fields { policy.limits[keyPath: field.path] = number() }
        policy.resultBudgets = ResultBudgets(result: number(), session: number(), day: number())
        for name in ["A", "B"] where chance() { policy.variables[name] = one(of: ["1", "2"]) }
        policy.tools = ToolRules(.init(allow: some(of: names), deny: some(of: names, less: true), ask: chance() ? [question()] : []))
        for name in ["jwt", "email"] where chance() { policy.redaction.detectors[name] = one(of: RedactionSettings.Action.allCases) }
        if chance() {
            policy.redaction.patterns = [.init(name: "p", pattern: one(of: ["x", "y"]), action: one(of: RedactionSettings.Action.allCases))]
        }
        if chance() { policy.redaction.doors = one(of: [Set<RedactionSettings.Door>]([[.results], [.egress], [.results, .egress], []])) }
        if chance() { policy.redaction.dictionaries = [.init(name: "d", file: "/w", action: one(of: RedactionSettings.Action.allCases))] }
        policy.requiresAllLayers = chance()
        return policy
    }

    private let paths = ["/a", "/a/b", "/a/b/c", "/d", "/d/e", "/a/x"].compactMap { try? HostPath($0) }
    private let globs = ["**/x", "/a/b/*", "y/z", "/a/**/c", "**/b", "*"].compactMap { try? PathGlob($0) }
    private let names = ["*", "b*", "bash", "read", "?ead"].compactMap { try? TextGlob($0) }
    private let hosts = ["a.example.com", "*.example.com", "*.b.example.com", "c.b.example.com", "10.0.0.1", "a.example.com:8443"]
        .compactMap { try? HostPattern($0) }
    private let urls = ["/v1/**", "/v1/admin", "/*", "/v1/?"].compactMap { try? PathPattern($0) }
    private let ranges = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "fd00::/8", "127.0.0.1"].compactMap { try? AddressRange($0) }

    private mutating func rules() -> [NetworkRule] {
        (0..<Int.random(in: 0...3, using: &self)).map { index in
            var rule = NetworkRule(
                id: "r\(index)", Int.random(in: 0..<4, using: &self) == 0 ? .deny : .allow, hosts: [one(of: hosts), one(of: hosts)])
            if chance() { rule.ports = [one(of: [80, 443, 8443])] }
            if rule.verdict == .allow, Int.random(in: 0..<5, using: &self) == 0 {
                rule.opaque = true
                rule.maximumSent = 100
                return rule
            }
            if chance() { rule.methods = [one(of: ["GET", "POST"])] }
            if chance() { rule.paths = [one(of: urls)] }
            guard rule.verdict == .allow else { return rule }
            if Int.random(in: 0..<4, using: &self) == 0 { rule.credential = one(of: ["s", "t"]) }
            if Int.random(in: 0..<4, using: &self) == 0 { rule.upgrades = ["websocket"] }
            rule.maximumSent = number()
            rule.maximumReceived = number()
            return rule
        }
    }

    private mutating func secrets() -> [PolicySecret] {
        ["s", "t"].filter { _ in chance() }.map { name in
            var binding = SecretBinding(name: name, hosts: [one(of: hosts)])
            binding.header = one(of: ["authorization", "x-key"])
            binding.schemes = some(of: SecretBinding.Scheme.allCases)
            if binding.schemes.isEmpty { binding.schemes = [.bearer] }
            if chance() { binding.variable = one(of: ["V", "W"]) }
            return PolicySecret(name: name, source: .variable(name: one(of: ["X", "Y"])), binding: chance() ? binding : nil)
        }
    }

    private mutating func forwards(secrets: [String]) -> [Forward] {
        guard chance(), let target = try? Authority("db.example.com:5432") else { return [] }
        var postgres = Forward.Postgres(role: one(of: ["reader", "writer"]), database: "app")
        postgres.secret = one(of: [nil] + secrets)
        return [
            Forward(name: "f", listenPort: one(of: [5432, 5433]), target: target, kind: chance() ? .tcp(maximumSent: number()) : .postgres(postgres))
        ]
    }

    private mutating func question() -> ToolQuestion {
        let pointer = try? JSONPointer(one(of: ["/command", "/a/b"]))
        let when = pointer.map { [$0: [one(of: ["git *", "*x*", "plain"].compactMap { try? TextGlob($0) })]] } ?? [:]
        return ToolQuestion(tools: [one(of: names)], when: chance() ? when : [:])
    }

    private mutating func budgets() -> ByteBudgets {
        ByteBudgets(call: number(), host: number(), session: number(), day: number(), overrun: one(of: ByteBudgets.Overrun.allCases))
    }

    private mutating func number() -> Int? { one(of: [nil, 1_000_000_000, 2_000_000_000, 3]) }

    mutating func chance() -> Bool { Bool.random(using: &self) }

    mutating func one<Value>(of values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &self)] }

    private mutating func some<Value>(of values: [Value], less: Bool = false) -> [Value] {
        values.filter { _ in Int.random(in: 0..<(less ? 5 : 3), using: &self) == 0 }
    }
}
