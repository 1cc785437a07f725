import PosternJSON
import PosternTunnelWire
import Testing

@testable import PosternConnector

/// Rules of a policy by who calls and what is called: each is attacked from its edge.
@Suite("Rules of a route's policy")
struct PolicyRuleTests {
    private static func made(_ policy: String) throws -> RouteGuard { RouteGuard(try PolicyDocument.policy(policy)) }

    /// A guard that has seen tools with those annotations, all pinned; `policy` begins behind `tools`.
    private static func hinted(_ tools: [String: String], _ policy: String) throws -> RouteGuard {
        let all = try tools.sorted { $0.key < $1.key }.map { ($0.key, try JSON(parsing: #"{"name":"\#($0.key)","annotations":\#($0.value)}"#)) }
        let pins = all.map { "\($0.0): \"\(ToolDigest(of: $0.1))\"" }.joined(separator: ", ")
        let routeGuard = try made("tools: {pins: {\(pins)}}\n\(policy)")
        _ = routeGuard.saw(all.map { ($0.0, ToolDefinition($0.1)) })
        return routeGuard
    }

    private static let tools = [
        "silent": "{}", "reads": #"{"readOnlyHint":true}"#, "local": #"{"readOnlyHint":true,"openWorldHint":false}"#,
        "adds": #"{"destructiveHint":false,"idempotentHint":true}"#, "boasts": #"{"readOnlyHint":true,"destructiveHint":true}"#,
        "lies": #"{"readOnlyHint":"true","destructiveHint":"false","openWorldHint":0,"idempotentHint":1}"#,
    ]

    @Test(
        "every annotation counts, with the protocol's defaults for what is absent, and what is no truth value lets nothing through",
        arguments: [
            ("allow: [{readOnlyHint: true}]", ["boasts", "local", "reads"]),
            ("allow: [{destructiveHint: false}]", ["adds", "local", "reads"]),
            ("allow: [{idempotentHint: true}]", ["adds", "boasts", "local", "reads"]),
            ("allow: [{openWorldHint: false}]", ["local"]),
            ("deny: [{destructiveHint: true}]", ["adds", "local", "reads"]),
            ("deny: [{readOnlyHint: false, openWorldHint: true}]", ["boasts", "local", "reads"]),
            (
                "allow: [{readOnlyHint: true}, {idempotentHint: true, destructiveHint: false}], deny: [{openWorldHint: false}]",
                ["adds", "boasts", "reads"]
            ),
        ])
    func hints(_ rules: String, _ callable: [String]) throws {
        let routeGuard = try Self.hinted(Self.tools, "annotations: {\(rules)}")
        #expect(Self.tools.keys.filter { routeGuard.rule(tool: $0) == nil }.sorted() == callable)
        // Lists show the same.
        let shown = try Self.tools.filter { name, hints in
            let definition = ToolDefinition(try JSON(parsing: #"{"name":"\#(name)","annotations":\#(hints)}"#))
            return routeGuard.policy.shows(name, definition, to: PolicyDocument.identity())
        }
        #expect(shown.keys.sorted() == callable)
    }

    @Test("an annotation that changes after it was pinned opens nothing")
    func changed() throws {
        let routeGuard = try Self.hinted(["tool": "{}"], "annotations: {deny: [{destructiveHint: true}]}")
        #expect(routeGuard.rule(tool: "tool") == "annotations.deny")
        _ = routeGuard.saw([("tool", ToolDefinition(try JSON(parsing: #"{"name":"tool","annotations":{"readOnlyHint":true}}"#)))])
        #expect(routeGuard.rule(tool: "tool") == "tools.pins")
    }

    private static func agent(_ version: Int?, _ configuration: String? = nil) -> RuntimeIdentity {
        RuntimeIdentity(
            tunnelID: "tnl_1", workspaceID: "wrkspc_1", agentID: "agent_1", agentVersion: version, configurationDigest: configuration,
            person: "user_1")
    }

    @Test("a rule for a version of an agent is for those too that do not say theirs; who is excepted has to say it")
    func versions() throws {
        let digest = "sha256:" + String(repeating: "a", count: 64)
        let routeGuard = try Self.made(
            """
            tools: {allow: [read, write, drop]}
            rules:
              - {name: old, callers: {agents: [{id: agent_1, version: 3}]}, tools: {deny: [write]}}
              - {name: trusted, except: {agents: [{id: agent_1, configuration: "\(digest)"}], persons: [user_2]}, tools: {deny: [drop]}}
            """)
        #expect(routeGuard.rule(tool: "write", from: Self.agent(4)) == nil)
        for version in [3, nil] { #expect(routeGuard.rule(tool: "write", from: Self.agent(version)) == "rules.old.tools.deny") }
        #expect(routeGuard.rule(tool: "drop", from: Self.agent(4, digest)) == nil)
        for configuration in [nil, "sha256:" + String(repeating: "b", count: 64)] {
            #expect(routeGuard.rule(tool: "drop", from: Self.agent(4, configuration)) == "rules.trusted.tools.deny")
        }
        var identity = PolicyDocument.identity()
        #expect(routeGuard.rule(tool: "drop", from: identity) == "rules.trusted.tools.deny")
        identity.person = "user_2"
        #expect(routeGuard.rule(tool: "drop", from: identity) == nil)
        // A client that is called like the person is not the person.
        #expect(routeGuard.rule(tool: "drop", from: PolicyDocument.identity(client: "user_2")) == "rules.trusted.tools.deny")
    }

    @Test("what a person may not do, nobody may whose certificate names no person")
    func persons() throws {
        let routeGuard = try Self.made("tools: {allow: [drop]}\nrules: [{name: theirs, callers: {persons: [user_1]}, tools: {deny: [drop]}}]")
        var identity = PolicyDocument.identity()
        for (person, rule) in [("user_1", "rules.theirs.tools.deny"), (nil, "rules.theirs.tools.deny"), ("user_2", nil)] as [(String?, String?)] {
            identity.person = person
            #expect(routeGuard.rule(tool: "drop", from: identity) == rule, "\(person ?? "-")")
        }
    }

    @Test("a rule may list further methods; the everyday ones pass unless it denies them")
    func methods() throws {
        let routeGuard = try Self.made(
            "methods: {allow: [\"resources/*\", \"prompts/*\"]}\nrules: [{callers: {clients: [laptop]}, methods: {allow: [\"prompts/*\"]}}]")
        func rule(_ method: String, _ client: String = "laptop") -> String? {
            routeGuard.rule(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#, from: PolicyDocument.identity(client: client))
        }
        #expect(rule("prompts/list") == nil && rule("ping") == nil && rule("resources/list") == "rules[0].methods.allow")
        #expect(rule("resources/list", "other") == nil && rule("completion/complete") == "methods.allow")
    }

    @Test("tools are shown only where tools may be called")
    func listing() throws {
        let routeGuard = try Self.made("tools: {allow: [read]}\nrules: [{callers: {clients: [laptop]}, methods: {deny: [tools/call]}}]")
        let definition = ToolDefinition(["name": "read"])
        #expect(!routeGuard.policy.shows("read", definition, to: PolicyDocument.identity()))
        #expect(routeGuard.policy.shows("read", definition, to: PolicyDocument.identity(client: "other")))
    }

    private static func call(_ tool: String, size: Int = 0) -> String {
        #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)","arguments":{"x":"\#(String(repeating: "x", count: size))"}}}"#
    }

    @Test("a rule bounds the bodies of what it is for, whatever the case of the tool's name, and no others")
    func size() throws {
        let routeGuard = try Self.made(
            """
            tools: {allow: ["*"]}
            rules:
              - {name: small, for: {tools: ["search*"]}, max_body_bytes: 1024}
              - {callers: {clients: [phone]}, max_body_bytes: 2048}
            """)
        for tool in ["search", "SEARCH_all", "\\u0073earch"] {
            #expect(routeGuard.rule(Self.call(tool, size: 1024)) == "rules.small.max_body_bytes", "\(tool)")
            #expect(routeGuard.rule(Self.call(tool)) == nil)
        }
        #expect(routeGuard.rule(Self.call("upload", size: 4096)) == nil)
        // In a batch with another call, and with white space, which is sent too.
        #expect(routeGuard.rule("[\(Self.call("upload", size: 1024)),\(Self.call("search"))]") == "rules.small.max_body_bytes")
        #expect(routeGuard.rule(Self.call("search") + String(repeating: " ", count: 1024)) == "rules.small.max_body_bytes")
        // A bound on all that a caller sends holds before the body is read.
        let phone = routeGuard.policy.bodyBound(of: PolicyDocument.identity(client: "phone"))
        #expect(phone.bytes == 2048 && phone.rule == "rules[1].max_body_bytes")
        #expect(routeGuard.policy.bodyBound(of: PolicyDocument.identity()).bytes == RoutePolicy.usualBodyBytes)
    }

    @Test("a rule's rate counts what the rule is for, for whom it says, and what is refused counts nowhere")
    func rate() throws {
        let routeGuard = try Self.made(
            """
            tools: {allow: ["*"], deny: [never]}
            rate: {calls_per_minute: 60, burst: 5}
            rules:
              - {name: writes, for: {tools: ["write*"]}, rate: {calls_per_minute: 60, burst: 2, per: route}}
              - {name: person, callers: {persons: [user_1]}, rate: {calls_per_minute: 60, burst: 3, per: person}}
            """)
        var (one, other) = (PolicyDocument.identity(client: "one"), PolicyDocument.identity(client: "other"))
        (one.person, other.person) = ("user_3", "user_4")
        func rule(_ tool: String, _ identity: RuntimeIdentity, _ now: Double = 0) -> String? {
            routeGuard.rule(Self.call(tool), from: identity, now: now)
        }
        #expect(rule("write", one) == nil && rule("WRITE_b", other) == nil)
        // Used up for every caller of the route, and for these tools alone.
        for tool in ["write", "Write"] { #expect(rule(tool, one) == "rules.writes.rate" && rule(tool, other) == "rules.writes.rate") }
        #expect(rule("never", one) == "tools.deny")
        // Of the route's five, four are left: what was refused has taken none.
        for _ in 0..<4 { #expect(rule("read", one) == nil) }
        #expect(rule("read", one) == "rate" && rule("read", other) == nil)
        // Two sessions of one person share what the rule gives the person.
        var (first, second) = (PolicyDocument.identity(session: "sesn_1"), PolicyDocument.identity(session: "sesn_2"))
        (first.person, second.person) = ("user_1", "user_1")
        #expect(rule("read", first) == nil && rule("read", second) == nil && rule("read", first) == nil)
        #expect(rule("read", first) == "rules.person.rate" && rule("read", second) == "rules.person.rate")
        second.person = "user_2"
        #expect(rule("read", second) == nil && rule("write", one, 1.1) == nil)
    }

    @Test("a rule for destructive tools finds them by their pinned annotations, and one whose definition is not known")
    func scopeByHints() throws {
        let routeGuard = try Self.hinted(
            ["reads": #"{"readOnlyHint":true}"#, "drops": "{}"],
            "rules: [{name: destructive, for: {annotations: [{destructiveHint: true}]}, except: {clients: [admin]}, tools: {deny: [\"*\"]}}]")
        #expect(routeGuard.rule(tool: "reads") == nil && routeGuard.rule(tool: "drops") == "rules.destructive.tools.deny")
        #expect(routeGuard.rule(tool: "drops", from: PolicyDocument.identity(client: "admin")) == nil)
        #expect(
            try Self.made("tools: {pins: {}}\nrules: [{for: {annotations: [{readOnlyHint: true}]}, methods: {deny: [tools/call]}}]").rule(tool: "x")
                == "rules[0].methods.deny")
    }
}
