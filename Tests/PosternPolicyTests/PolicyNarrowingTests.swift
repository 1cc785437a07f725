import PosternJSON
import Testing

@testable import PosternPolicy

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Policies by chance for each property; 2,000 with POSTERN_FULL=1.
private let count = getenv("POSTERN_FULL") != nil ? 2000 : 40

@Suite struct PolicyNarrowingTests {
    /// Policies by chance: what is effective is below the ceiling and below the request, for every kind of rule.
    @Test(arguments: 0..<count) func effectiveIsBelowBothSides(seed: Int) {
        var generator = PolicyGenerator(seed: UInt64(seed))
        let ceiling = generator.policy()
        let request = generator.policy()
        let effective = ceiling.narrowed(by: request)
        #expect(effective.excess(over: ceiling) == [], "seed \(seed)")
        #expect(effective.excess(over: request) == [], "seed \(seed)")
    }

    @Test(arguments: 0..<count / 2) func narrowingAgainChangesNothing(seed: Int) {
        var generator = PolicyGenerator(seed: UInt64(1000 + seed))
        let ceiling = generator.policy()
        let request = generator.policy()
        let effective = ceiling.narrowed(by: request)
        #expect(ceiling.narrowed(by: ceiling) == ceiling, "seed \(seed)")
        #expect(effective.narrowed(by: request) == effective, "seed \(seed)")
        #expect(effective.narrowed(by: ceiling) == effective, "seed \(seed)")
        #expect(effective.narrowed(by: effective).digest == effective.digest, "seed \(seed)")
    }

    /// A lower ceiling gives a lower result, and so does a lower request.
    @Test(arguments: 0..<count / 2) func narrowingIsMonotone(seed: Int) {
        var generator = PolicyGenerator(seed: UInt64(2000 + seed))
        let high = generator.policy()
        let low = high.narrowed(by: generator.policy())
        let other = generator.policy()
        #expect(low.isSubset(of: high), "seed \(seed)")
        #expect(low.narrowed(by: other).excess(over: high.narrowed(by: other)) == [], "seed \(seed)")
        #expect(other.narrowed(by: low).excess(over: other.narrowed(by: high)) == [], "seed \(seed)")
    }

    @Test(arguments: 0..<count / 2) func everyPolicyIsBelowItselfAndAboveNothing(seed: Int) {
        var generator = PolicyGenerator(seed: UInt64(3000 + seed))
        let policy = generator.policy()
        #expect(policy.excess(over: policy) == [], "seed \(seed)")
        var nothing = Policy()
        nothing.workspace = .ro
        nothing.requiresAllLayers = true
        nothing.redaction = policy.redaction
        nothing.files = FileRules(hidden: policy.files.hidden, protected: policy.files.protected)
        for field in ResourceLimits.fields { nothing.limits[keyPath: field.path] = 0 }
        nothing.resultBudgets = ResultBudgets(result: 0, session: 0, day: 0)
        nothing.network.budgets = ByteBudgets(call: 0, host: 0, session: 0, day: 0)
        #expect(nothing.excess(over: policy) == [], "seed \(seed)")
    }

    /// The comparison sees each kind of widening; without this the properties above could hold because it sees nothing.
    @Test func eachKindOfWideningIsSeen() throws {
        var base = try readPolicy(examplePolicy)
        // The profile's long lists would only repeat the same case.
        base.files = FileRules(
            read: base.files.read, write: base.files.write, hidden: [try PathGlob("**/*.pem")], protected: [try PathGlob("**/.git/hooks")])
        base.egress = .perSession
        let fork = try HostPath("/srv/fork")
        let host = try HostPattern("new.example.com")
        let range = try AddressRange("10.9.0.0/16")
        let all = try TextGlob("*")
        let changes: [(String, (inout Policy) -> Void)] = [
            (
                "read",
                { $0.files = FileRules(read: $0.files.read + [fork], write: $0.files.write, hidden: $0.files.hidden, protected: $0.files.protected) }
            ),
            (
                "write",
                { $0.files = FileRules(read: [], write: $0.files.read + $0.files.write, hidden: $0.files.hidden, protected: $0.files.protected) }
            ),
            ("unhide", { $0.files = FileRules(read: $0.files.read, write: $0.files.write, hidden: [], protected: $0.files.protected) }),
            ("unprotect", { $0.files = FileRules(read: $0.files.read, write: $0.files.write, hidden: $0.files.hidden, protected: []) }),
            ("mode", { $0.workspace = .rw }),
            ("host", { $0.network.rules.append(NetworkRule(id: "new", hosts: [host])) }),
            ("port", { $0.network.rules[0].ports.append(22) }),
            ("method", { $0.network.rules[0].methods.append("DELETE") }),
            ("path", { $0.network.rules[0].paths = [] }),
            ("credential", { $0.network.rules[0].credential = nil }),
            ("bytes", { $0.network.rules[0].maximumSent = nil }),
            ("upgrade", { $0.network.rules[0].upgrades = ["websocket"] }),
            ("deny", { $0.network.rules.remove(at: 1) }),
            ("addresses", { $0.network.addresses.allowed.append(range) }),
            ("secret hosts", { $0.secrets[1].binding?.hosts.append(host) }),
            ("secret scheme", { $0.secrets[1].binding?.schemes.append(.basic) }),
            ("secret source", { $0.secrets[1].source = .variable(name: "OTHER") }),
            ("secret variable", { $0.secrets[1].binding?.variable = "OTHER" }),
            ("forward", { $0.forwards[0].listenPort = 6432 }),
            ("limit", { $0.limits.memory = nil }),
            ("limit by one", { $0.limits.processes = 513 }),
            ("result budget", { $0.resultBudgets.session = (64 << 20) + 1 }),
            ("egress budget", { $0.network.budgets.call = nil }),
            ("variable", { $0.variables["NEW"] = "x" }),
            ("tool", { $0.tools.list.allow = [all] }),
            ("tool deny", { $0.tools.list.deny = [] }),
            ("tool ask", { $0.tools.list.ask = [] }),
            ("detector", { $0.redaction.detectors["email"] = .allow }),
            ("pattern", { $0.redaction.patterns = [] }),
            ("dictionary", { $0.redaction.dictionaries = [] }),
            ("layers", { $0.requiresAllLayers = false }),
            ("egress", { $0.egress = .shared }),
        ]
        for (name, change) in changes {
            var wider = base
            change(&wider)
            #expect(wider != base, "\(name)")
            #expect(!wider.isSubset(of: base), "\(name)")
            #expect(base.narrowed(by: wider).isSubset(of: base), "\(name)")
            #expect(wider.narrowed(by: base).isSubset(of: base), "\(name)")
        }
    }

    /// Found by chance: a pattern without a port means 443 for a secret, and not every port.
    @Test func aSecretGoesToNoPortThatOneSideLeavesOut() throws {
        func secret(_ pattern: String) throws -> PolicySecret {
            PolicySecret(name: "s", source: .variable(name: "S"), binding: SecretBinding(name: "s", hosts: [try HostPattern(pattern)]))
        }
        for (left, right) in [("a.example.com", "a.example.com:8443"), ("a.example.com:8443", "*.example.com")] {
            #expect(try secret(left).narrowed(by: secret(right))?.binding == nil)
        }
        #expect(try secret("a.example.com").narrowed(by: secret("*.example.com"))?.binding?.hosts.map(\.description) == ["a.example.com:443"])
    }

    @Test func theSecretOfTheCorporateProxyStaysWithThePerimeter() throws {
        var ceiling = try readPolicy(examplePolicy)
        ceiling.upstream.proxySecret = "github"
        let effective = ceiling.narrowed(by: try PolicyFragment(#"{"secrets": []}"#, source: "session s"))
        #expect(effective.secrets.map(\.name) == ["github"])
        #expect(effective.secret("github")?.binding == nil)
        #expect(effective.forwards.isEmpty)
    }
}
