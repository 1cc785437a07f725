import PosternJSON
import Testing

@testable import PosternPolicy

@Suite struct PolicyCeilingTests {
    private let subject = PolicySubject(environmentID: "env_01", environmentName: "prod-eu", agentID: "agent_01", agentName: "Reporter")

    private func set(_ texts: String...) throws -> PolicySet {
        try PolicySet(
            texts.enumerated().map { PolicySet.File(name: "\($0.offset + 1).yaml", text: "version: 1\n\($0.element)") }, reader: PolicyReader())
    }

    @Test func noMatchMeansStrict() throws {
        let set = try set("match: {environments: [env_02]}\nextends: build\n")
        #expect(set.ceiling(for: subject).policy == PolicyReader.profile(.strict).policy)
        #expect(PolicySet().ceiling(for: subject).policy.name == "strict")
    }

    /// What a worker's own setting takes away is taken from every policy, the one for sessions that none matches included.
    @Test(arguments: [WorkspaceMode.ro, .cow, .rw]) func allAreNarrowedTogether(mode: WorkspaceMode) throws {
        let wide = try set(
            "match: {agents: agent_01}\nname: a\nworkspace: {mode: rw}\n", "match: {agents: agent_02}\nname: b\nworkspace: {mode: ro}\n")
        var narrow = wide
        var most = PolicyFragment()
        most.workspace = mode
        narrow.narrow(by: most)
        #expect(narrow.inForce.map(\.policy.workspace) == wide.inForce.map { min($0.policy.workspace, mode) } && narrow.inForce.count == 3)
        #expect(narrow.ceiling(for: subject).policy.workspace == mode)
        #expect(narrow.ceiling(for: PolicySubject(environmentID: "e", agentID: "agent_03")).policy.workspace == mode)
        #expect((narrow.digest == wide.digest) == (mode == .rw))
    }

    @Test(arguments: [
        ("{environments: env_01}", true), ("{environments: \"prod-*\"}", true), ("{environments: PROD-eu}", false), ("{agents: Reporter}", true),
        ("{agents: agent_0?}", true), ("{agents: agent_02}", false), ("{environments: env_01, agents: agent_02}", false),
        ("{environments: [a, env_01]}", true), ("{environments: \"prod-*\", agents: agent_02}", false),
    ])
    func matchingIsByIDAndName(match: String, matches: Bool) throws {
        let set = try set("match: \(match)\nname: found\n")
        #expect((set.ceiling(for: subject).policy.name == "found") == matches)
    }

    @Test func aNameThatTheOperatorHasNotGivenMatchesNothing() throws {
        let set = try set("match: {environments: \"prod-*\"}\nname: found\n")
        #expect(set.ceiling(for: PolicySubject(environmentID: "env_01", agentID: "agent_01")).policy.name == "strict")
    }

    @Test func metadataIsRefusedWithWhatToDoInstead() throws {
        let error = try #require(throws: PolicyProblems.self) { try set("match: {agents: x, metadata: {team: data}}\n") }
        #expect(
            error.problems.map { "\($0)" } == [
                "1.yaml:2:20: error: match.metadata: is not there: a session does not hold the metadata of its agent; "
                    + "match the agent by id or name, with match.agents"
            ])
    }

    @Test func theFirstMatchHolds() throws {
        let set = try set("name: a\nmatch: {agents: x}\n", "name: b\nmatch: {agents: Reporter}\n", "name: c\n")
        #expect(set.ceiling(for: subject).policy.name == "b")
    }

    @Test func aPolicyThatNobodyCanGetAndANameUsedTwiceAreWrong() throws {
        let error = try #require(throws: PolicyProblems.self) { try set("name: a\n", "name: a\nmatch: {agents: x}\n") }
        #expect(
            error.problems.map { "\($0)" } == [
                "2.yaml:3:8: error: match: is never asked: 1.yaml comes first and matches every session; give 1.yaml a match, or a name behind this one's",
                #"2.yaml:2:7: error: name: "a" is the name of 1.yaml too; choose another"#,
            ])
    }

    @Test func problemsOfAllFilesAreReported() throws {
        let error = try #require(throws: PolicyProblems.self) { try set("a: 1\nmatch: {agents: y}\n", "b: 2\n") }
        #expect(error.problems.map(\.place.file) == ["1.yaml", "2.yaml"])
    }
}

@Suite struct PolicyFragmentTests {
    private func effective(_ fragment: String) throws -> Policy {
        try readPolicy(examplePolicy).narrowed(by: try PolicyFragment(fragment, source: "session s"))
    }

    private func allows(_ policy: Policy, _ method: String, _ url: String, _ credentials: Set<String> = ["github"]) throws -> Bool {
        let loaded = LoadedPolicy(policy: policy, match: PolicyMatch(), file: "", document: [:], places: [:])
        return try loaded.explain(method: method, url: url, credentials: credentials).verdict == .allowed
    }

    @Test func anEmptyFragmentTakesNothing() throws {
        let ceiling = try readPolicy(examplePolicy)
        let policy = try effective("{}")
        #expect(ceiling.isSubset(of: policy) && policy.isSubset(of: ceiling))
    }

    @Test func rulesAreTakenAwayByName() throws {
        let policy = try effective(#"{"network": {"allow": ["tunnel"]}}"#)
        #expect(try !allows(policy, "GET", "https://api.example.com/v1/x"))
        #expect(try allows(policy, "GET", "https://other.example.com/"))
        let short = try effective(#"["api", "db"]"#)
        #expect(try allows(short, "GET", "https://api.example.com/v1/x"))
        #expect(try !allows(short, "GET", "https://api.example.com/v1/admin/x"), "a rule that denies stays")
        #expect(try !allows(short, "GET", "https://other.example.com/"))
        #expect(short.secrets.map(\.name) == ["database", "github"] && short.forwards.count == 1)
        #expect(try effective("[]").secrets.isEmpty && effective("[]").forwards.isEmpty)
    }

    @Test func ownRulesHoldBesideThoseOfTheCeiling() throws {
        let policy = try effective(#"{"network": {"rules": [{"hosts": "*.example.com", "methods": "GET"}, {"hosts": "evil.example"}]}}"#)
        #expect(try allows(policy, "GET", "https://api.example.com/v1/x"))
        #expect(try !allows(policy, "POST", "https://api.example.com/v1/x"))
        #expect(try !allows(policy, "GET", "https://evil.example/"))
    }

    @Test func filesAreTakenAway() throws {
        let policy = try effective(#"{"files": {"write": [], "hidden": ["**/private"]}, "workspace": {"mode": "rw"}}"#)
        let denials = MandatoryDenials()
        func access(_ path: String) throws -> FileAccess {
            policy.files.decide(.host(try HostPath(path)), workspace: policy.workspace, denials: denials).access
        }
        #expect(try access("/srv/out/x") == .read)
        #expect(try access("/srv/data/private/x") == FileAccess.none)
        #expect(policy.workspace == .cow)
        let inner = try effective(#"{"files": {"read": ["/srv/data/a", "/etc"]}}"#)
        #expect(inner.files.read.map(\.description) == ["/srv/data/a"] && inner.files.write.isEmpty)
    }

    @Test func numbersAndToolsAreTakenAway() throws {
        let policy = try effective(
            #"{"limits": {"memory": "64MiB", "processes": 1000}, "budgets": {"results": {"session": 5}, "egress": {"day": 7}}, "tools": {"deny": ["bash"]}}"#
        )
        #expect(policy.limits.memory == 64 << 20 && policy.limits.processes == 512)
        #expect(policy.resultBudgets.session == 5 && policy.network.budgets.day == 7 && policy.network.budgets.overrun == .ask)
        #expect(policy.tools.decide(tool: "bash", input: [:]).verdict == .deny)
        #expect(policy.tools.decide(tool: "read", input: [:]).verdict == .allow)
        #expect(policy.tools.decide(tool: "write", input: [:]).verdict == .deny)
    }

    @Test func namesThatTheCeilingLacksAreTold() throws {
        let ceiling = try readPolicy(examplePolicy)
        let fragment = try PolicyFragment(#"{"secrets": ["github", "nobody"], "network": {"allow": ["apy"]}, "variables": ["LANG"]}"#, source: "s")
        #expect(fragment.unknownNames(under: ceiling) == ["apy", "nobody"])
        #expect(ceiling.narrowed(by: fragment).secrets.map(\.name) == ["github"])
    }

    @Test(arguments: [
        "", "null", "1", "\"x\"", "files: {}", #"{"file": {}}"#, #"{"network": {"addresses": ["10.0.0.0/8"]}}"#, #"{"secrets": {"a": {}}}"#,
        #"{"redaction": {}}"#, #"{"limits": {"memory": 1}}"#, #"{"tools": {"allow": "*"}}"#, #"[1]"#, #"{"network": {"rules": [{"hosts": ["*"]}]}}"#,
        #"{"network": {"upstream": {}}}"#, #"{"variables": {"A": "b"}}"#, #"{"version": 1}"#,
    ])
    func whatIsNoFragmentIsAnError(text: String) {
        #expect(throws: PolicyProblems.self) { try PolicyFragment(text, source: "session s") }
    }

    /// Fragments by chance under policies by chance: nothing widens, and asking twice is asking once.
    @Test(arguments: 0..<40) func noFragmentWidens(seed: Int) throws {
        var generator = PolicyGenerator(seed: UInt64(5000 + seed))
        let ceiling = generator.policy()
        let other = generator.policy()
        var fragment = PolicyFragment()
        if generator.chance() { (fragment.read, fragment.write) = (other.files.read, other.files.write) }
        if generator.chance() { (fragment.hidden, fragment.protected) = (other.files.hidden, other.files.protected) }
        if generator.chance() { fragment.workspace = other.workspace }
        if generator.chance() { fragment.rules = other.network.rules }
        if generator.chance() { fragment.allowedRules = ["r0", "zebra"] }
        if generator.chance() { fragment.secrets = ["s"] }
        if generator.chance() { fragment.forwards = [] }
        if generator.chance() { fragment.names = ["r1", "t", "f"] }
        if generator.chance() { fragment.limits = other.limits }
        if generator.chance() { fragment.egressBudgets = other.network.budgets }
        if generator.chance() { fragment.variables = ["A"] }
        if generator.chance() { fragment.tools = other.tools.list }
        let effective = ceiling.narrowed(by: fragment)
        #expect(effective.excess(over: ceiling) == [], "seed \(seed)")
        let again = effective.narrowed(by: fragment)
        #expect(again.isSubset(of: effective) && effective.isSubset(of: again), "seed \(seed)")
    }

    /// A control plane that sends ever new fragments ends with nothing, not with ever longer lists.
    @Test func fragmentsWithoutEndLeaveNothing() throws {
        var policy = try readPolicy(examplePolicy)
        for number in 0..<100 {
            policy = policy.narrowed(
                by: try PolicyFragment(
                    #"{"network": {"rules": [{"hosts": "h\#(number).example.com"}]}, "tools": {"deny": ["t\#(number)"]}}"#, source: "session s"))
        }
        #expect(policy.network.ceilings.count <= Policy.maximumCeilings && policy.tools.ceilings.count <= Policy.maximumCeilings)
        #expect(policy.tools.decide(tool: "read", input: [:]).verdict == .deny)
        #expect(try !allows(policy, "GET", "https://other.example.com/"))
        #expect(try policy.isSubset(of: readPolicy(examplePolicy)))
    }
}
