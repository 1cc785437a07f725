import PosternJSON
import Testing

@testable import PosternConnector

@Suite("The policy of a route in the connector's document")
struct RoutePolicyReaderTests {
    @Test("is read with its defaults")
    func defaults() throws {
        let policy = try PolicyDocument.policy("mode: dry_run")
        #expect(
            policy.mode == .dryRun && policy.bodyBound(of: PolicyDocument.identity()).bytes == 1 << 20 && policy.rules.rate == nil
                && policy.pins == nil && policy.rules.tools.allow == [])
        #expect(try PolicyDocument.policy("{}").mode == .enforce)
        #expect(try PolicyDocument.policy("rate: {calls_per_minute: 60}").rules.rate == .init(perMinute: 60, burst: 10))
    }

    @Test("what is pinned may be called without naming it again")
    func pinned() throws {
        let policy = try PolicyDocument.policy("tools: {pins: {\"a*\": \"sha256:\(String(repeating: "0", count: 64))\"}}")
        #expect(policy.rules.tools.verdict("a*") == .allowed && policy.rules.tools.verdict("ab") == .unknown)
    }

    @Test(
        "what does not fit is refused, with its place",
        arguments: [
            ("mod: enforce", "connector.yaml:10:7: error: routes.docs.policy.mod: is no known key here; did you mean \"mode\"?"),
            ("mode: off", "must be one of enforce, dry_run"), ("tools: {alow: [a]}", "did you mean \"allow\"?"),
            ("tools: {allow: a}", "must be a list"),
            ("tools: {allow: [1]}", "must be text"), ("tools: {allow: [\"\"]}", "1 to 256 characters"), ("tools: {pins: [a]}", "mapping of at most"),
            ("tools: {pins: {a: sha256:00}}", "64 hexadecimal digits"), ("tools: {pins: {é: x}}", "printable ASCII"),
            ("methods: {only: [a]}", "is no known key"), ("read_only: true", "pin the tools in tools.pins"), ("read_only: 1", "true or false"),
            ("max_body_bytes: 10", "from 1024 to 16777216"), ("rate: {burst: 1}", "calls_per_minute: is missing"),
            ("rate: {calls_per_minute: 0}", "from 1 to"),
            ("rules: {}", "must be a list"), ("rules: [{tools: {deny: [a]}}]", "callers: is missing"), ("rules: [{callers: {}}]", "names nobody"),
            ("rules: [{callers: {agents: [a]}, tools: {pins: {}}}]", "is no known key"), ("rules: [{for: {}}]", "names nothing"),
            ("rules: [{callers: {agents: [a]}, name: a b}]", "letters, digits"), ("rules: [{except: {}}]", "names nobody"),
            ("rules: [{for: {tools: [a]}, name: x}, {for: {tools: [b]}, name: x}]", "is the name of a rule before it"),
            ("rules: [{for: {annotations: [{readOnlyHint: true}]}}]", "pin the tools"),
            ("rules: [{for: {tools: [a]}, rate: {calls_per_minute: 1, per: tool}}]", "must be one of caller, agent, person, workspace, route"),
            ("rules: [{for: {tools: [a]}, max_body_bytes: 1}]", "from 1024 to"), ("annotations: {deny: [{readOnlyHint: true}]}", "pin the tools"),
            ("tools: {pins: {}}\nannotations: {allow: [{}]}", "names no annotation"),
            ("tools: {pins: {}}\nannotations: {allow: [{readonlyHint: true}]}", "did you mean \"readOnlyHint\""),
            ("tools: {pins: {}}\nannotations: {allow: [{readOnlyHint: yes please}]}", "true or false"),
            ("rules: [{callers: {agents: [{id: a, version: 0}]}}]", "from 1 to"),
            ("rules: [{callers: {agents: [a]}, read_only: true}]", "pin the tools"), ("arguments: [a]", "mapping of tools to schemas"),
            ("arguments: {t: {type: object, properties: {a: {type: text}}}}", "must be one of null, boolean"),
            ("arguments: {t: {anyOf: []}}", "connector.yaml:10:23: error: routes.docs.policy.arguments.t.anyOf: is no known key here"),
            ("arguments: {t: {$ref: x}}", "is no known key"), ("arguments: {t: {type: string, format: email}}", "is no known key"),
            ("arguments: {t: {not: {}}}", "is no known key"), ("arguments: {t: {patternProperties: {}}}", "is no known key"),
            ("arguments: {t: {pattern: ^a$}}", "write type: string beside it"),
            ("arguments: {t: {type: integer, pattern: ^a$}}", "write type: string"),
            ("arguments: {t: {minimum: 1}}", "write type: number or integer"), ("arguments: {t: {properties: {}}}", "write type: object"),
            ("arguments: {t: {type: string, pattern: a}}", "must begin with '^'"),
            ("arguments: {t: {type: string, pattern: \"^(a$\"}}", "is no pattern"),
            ("arguments: {t: {type: string, minLength: -1}}", "whole number"), ("arguments: {t: {enum: []}}", "at least one value"),
            ("arguments: {t: {type: number, minimum: a}}", "must be a number"), ("arguments: {t: {type: object, required: [1]}}", "must be text"),
        ])
    func refusals(_ policy: String, _ problem: String) {
        let problems = PolicyDocument.problems(policy)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("pins are made from an answer to tools/list, and are read again")
    func pins() throws {
        let list =
            #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a b","annotations":{"readOnlyHint":true}},{"name":"\"x"}],"nextCursor":"2"}}"#
        let pins = try ToolPins(Array(list.utf8))
        #expect(pins.isPartial && pins.pins.map(\.tool) == ["a b", "\"x"])
        let indented = pins.yaml.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
        let read = try PolicyDocument.policy("tools:\n\(indented)")
        #expect(read.pins?["a b"] == ToolDigest(of: ["name": "a b", "annotations": ["readOnlyHint": true]]) && read.pins?.count == 2)
        #expect(throws: ConnectorError.self) { try ToolPins(Array(#"{"tools":[{"name":"a"},{"name":"a"}]}"#.utf8)) }
        for text in ["", "{}", #"{"tools":[{}]}"#, #"{"tools":1}"#] { #expect(throws: ConnectorError.self) { try ToolPins(Array(text.utf8)) } }
    }

    @Test("a digest is that of RFC 8785's form")
    func digest() {
        // printf '{"description":"é","n":1,"name":"a"}' | sha256sum
        let made = ToolDigest(of: ["name": "a", "n": 1.0, "description": "\u{E9}"])
        #expect(made.description == "sha256:d959e3612118c58bc20823d0bd18aed9b6ef0c26ee3867b05e4111240dd1a013")
        #expect(ToolDigest(made.description) == made && ToolDigest(made.description.uppercased()) == nil && ToolDigest("sha256:") == nil)
    }
}
