import Foundation
import NIOCore
import PosternAudit
import PosternConnector
import PosternGate
import PosternJSON
import PosternTunnelLink
import Testing

@testable import PosternConnector

/// What the log says of a call, and what nobody finds in it.
@Suite("The record of a call", .timeLimit(.minutes(2)))
struct CallAuditTests {
    private static let type = "Content-Type: application/json\r\n"
    private static let key = AuditKey(bytes: Array(repeating: 7, count: 32))
    private static let secret = "canary/+inside=0123"
    private static let awsKey = "AKIAIOSFODNN7EXAMPLE"

    /// A world whose connector keeps a log; gives the log's lines at the end.
    private static func run(
        policy: String? = "tools: {allow: [read]}", _ change: (inout TunnelWorld.Options) -> Void = { _ in },
        _ body: @escaping @Sendable (TunnelWorld, inout TunnelClient) async throws -> Void
    ) async throws -> [JSON] {
        let folder = FileManager.default.temporaryDirectory.appending(component: "call-audit-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = try AuditLog(path: "\(folder)/audit.jsonl", key: key)
        var options = TunnelWorld.Options()
        options.policy = try policy.map(PolicyDocument.policy)
        options.audit = ConnectorAudit(log, tunnelID: TunnelWorld.tunnelID) { "2026-01-01T00:00:00Z" }
        change(&options)
        try await TunnelWorld.run(options) { world in
            var client = try await TunnelClient.open(world, .splice, as: try world.runtime())
            try await body(world, &client)
            client.stream.close()
        }
        await log.finish()
        let text = try String(contentsOfFile: "\(folder)/audit.jsonl", encoding: .utf8)
        return try text.split(separator: "\n").map { try JSON(parsing: String($0)) }
    }

    private static func bodies(_ lines: [JSON], _ kind: String) -> [JSON] { lines.filter { $0["kind"]?.string == kind }.compactMap { $0["body"] } }

    private static func call(_ arguments: String, tool: String = "read") -> String {
        #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\#(tool)","arguments":\#(arguments)}}"#
    }

    @Test("equal arguments and results have one digest, however they are written, which only the key's holder can compute")
    func digests() async throws {
        let result: JSON = ["content": [["type": "text", "text": "canary-out"]], "n": 1]
        let lines = try await Self.run { world, client in
            try Task.checkCancellation()
            world.answer(json: #"{"id":1,"jsonrpc":"2.0","result":{"n":1.0,"content":[{"text":"canary-out","type":"text"}]}}"#)
            for arguments in [#"{"path":"canary-in","n":100}"#, #"{ "n": 1e2, "path": "canary\u002din" }"#, #"{"path":"canary-in","n":101}"#] {
                #expect(try await client.call("POST", "/mcp", body: Self.call(arguments), fields: Self.type).status == 200)
            }
            world.answer(
                events:
                    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}\n\n")
            #expect(try await client.call("POST", "/mcp", body: Self.call("{}"), fields: Self.type).status == 200)
            #expect(
                try await client.call("POST", "/mcp", body: Self.call(#"{"path":"canary-in","n":100}"#, tool: "drop"), fields: Self.type).status
                    == 200)
        }
        let inputs = Self.bodies(lines, "tunnel_intent").map { $0["messages"]?[0]?["input"]?["hmac_sha256"]?.string }
        #expect(inputs[0] == Self.key.digest(.input, of: ["path": "canary-in", "n": 100]) && inputs[0] == inputs[1] && inputs[0] != inputs[2])
        #expect(inputs[3] == Self.key.digest(.input, of: [:]))
        let outcomes = Self.bodies(lines, "tunnel_outcome")
        let output = outcomes[0]["outputs"]?[0]
        #expect(output?["hmac_sha256"]?.string == Self.key.digest(.output, of: result) && output?["bytes"]?.int == result.canonical.count)
        #expect(outcomes[0]["outputs"] == outcomes[1]["outputs"])
        // A notification of the server is no result.
        #expect(outcomes[3]["outputs"]?.array?.map { $0["hmac_sha256"]?.string } == [Self.key.digest(.output, of: ["code": 1])])
        // What was refused is found by the same digest, and has no outcome.
        let refused = try #require(Self.bodies(lines, "tunnel_refused").first)
        #expect(refused["rule"] == "tools.allow" && refused["messages"]?[0]?["input"]?["hmac_sha256"]?.string == inputs[0])
        #expect(outcomes.count == 4)
        // Neither the words nor a digest that everybody can compute are in the log.
        let text = lines.map(\.text).joined()
        #expect(!text.contains("canary") && !text.contains("payload"))
        #expect(inputs[0] != AuditKey(bytes: Array(repeating: 8, count: 32)).digest(.input, of: ["path": "canary-in", "n": 100]))
    }

    @Test("of a route that is not read the bodies have digests, as they went")
    func unread() async throws {
        let text = "not { JSON: canary"
        let lines = try await Self.run(policy: nil, { $0.headers = ["Authorization": "Bearer \(Self.secret)"] }) { _, client in
            try Task.checkCancellation()
            #expect(try await client.call("POST", "/echo", body: text).body == text)
            #expect(try await client.call("POST", "/echo", body: "x \(Self.secret)").status == 200)
            #expect(try await client.call("GET", "/head").status == 200)
        }
        let outcomes = Self.bodies(lines, "tunnel_outcome")
        let digest = { (purpose: AuditKey.Purpose, text: String) in Self.key.digest(purpose, canonical: Array(text.utf8)) }
        #expect(outcomes[0]["request"]?["hmac_sha256"]?.string == digest(.input, text) && outcomes[0]["request"]?["bytes"]?.int == text.utf8.count)
        #expect(outcomes[0]["answer"]?["hmac_sha256"]?.string == digest(.output, text))
        // What the caller got: the mark, and not the value behind it.
        #expect(outcomes[1]["answer"]?["hmac_sha256"]?.string == digest(.output, "x [redacted: secret Authorization]"))
        #expect(outcomes[2]["request"] == nil && outcomes[2]["answer"]?["bytes"]?.int ?? 0 > 0)
        #expect(!lines.map(\.text).joined().contains("canary"))
    }

    @Test("payloads are there where they are asked for, without what is injected and what the gate knows, whatever the spelling")
    func payloads() async throws {
        func change(_ options: inout TunnelWorld.Options) {
            options.headers = ["Authorization": "Bearer \(Self.secret)"]
            options.change = { configuration in
                configuration.routes["docs"]?.audit.arguments = true
                configuration.routes["docs"]?.audit.results = true
                configuration.routes["docs"]?.answers.redact = [.githubToken: .block]
            }
        }
        let lines = try await Self.run(change) { world, client in
            try Task.checkCancellation()
            world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{"text":"plain \#(Self.awsKey) \#(Self.secret)"}}"#)
            let spelled = "\\u0063" + Self.secret.dropFirst().replacing("/", with: "\\/")
            let arguments = #"{"q":"plain","key":"\#(Self.awsKey)","again":"\#(spelled)"}"#
            #expect(try await client.call("POST", "/mcp", body: Self.call(arguments), fields: Self.type).status == 200)
            let token = "ghp_" + String(repeating: "a1B2", count: 9)
            #expect(try await client.call("POST", "/mcp", body: Self.call(#"{"token":"\#(token)"}"#), fields: Self.type).status == 200)
            #expect(try await client.call("POST", "/mcp", body: Self.call(arguments, tool: "drop"), fields: Self.type).status == 200)
        }
        let intents = Self.bodies(lines, "tunnel_intent").map { $0["messages"]?[0]?["input"] }
        let payload = #"{"again":"[redacted: secret Authorization]","key":"[redacted: aws-access-key]","q":"plain"}"#
        #expect(intents[0]?["payload"]?.string == payload)
        #expect(intents[1]?["payload"] == nil && intents[1]?["payload_withheld"]?.string?.contains("github-token") == true)
        #expect(Self.bodies(lines, "tunnel_refused").first?["messages"]?[0]?["input"]?["payload"]?.string == payload)
        let output = Self.bodies(lines, "tunnel_outcome").first?["outputs"]?[0]
        #expect(output?["payload"]?.string == #"{"text":"plain [redacted: aws-access-key] [redacted: secret Authorization]"}"#)
        let text = lines.map(\.text).joined()
        #expect(!text.contains("canary") && !text.contains(Self.awsKey) && !text.contains("ghp_"))
    }

    @Test("arguments alone, or results alone, where only these are asked for")
    func one() async throws {
        for arguments in [true, false] {
            let lines = try await Self.run({
                $0.change = {
                    $0.routes["docs"]?.audit.arguments = arguments
                    $0.routes["docs"]?.audit.results = !arguments
                }
            }) { world, client in
                try Task.checkCancellation()
                world.answer(json: #"{"jsonrpc":"2.0","id":1,"result":{"text":"said"}}"#)
                #expect(try await client.call("POST", "/mcp", body: Self.call(#"{"q":"asked"}"#), fields: Self.type).status == 200)
            }
            let text = lines.map(\.text).joined()
            #expect(text.contains("asked") == arguments && text.contains("said") == !arguments)
        }
    }

    @Test("payloads of one record are bounded together, cut between characters, and no half of a secret is left at the cut")
    func bounds() throws {
        var settings = RouteAudit()
        (settings.arguments, settings.results, settings.payloadBytes) = (true, true, 256)
        let secret = KnownSecret(name: "one", value: Array("canary-0123456789".utf8))
        let content = CallContent(Self.key, settings, try PayloadRules(RouteAnswers(), secrets: [secret], hashKey: Array(repeating: 1, count: 32)))
        let batch = (0..<3).map {
            #"{"jsonrpc":"2.0","id":\#($0),"method":"tools/call","params":{"name":"a","arguments":{"x":"\#(String(repeating: "é", count: 80))"}}}"#
        }
        let inputs = content.inputs(try RPCBody(Array("[\(batch.joined(separator: ","))]".utf8)).messages)
        let texts = inputs.map { if case .text(let text, let isCut)? = $0.input?.payload { (text, isCut) } else { ("", false) } }
        #expect(
            texts.map { $0.0.utf8.count }.reduce(0, +) <= 256 && texts.map(\.1) == [false, true, true]
                && !texts.contains { $0.0.contains("\u{FFFD}") })
        #expect(texts[1].0.hasSuffix("é") && texts[2].0.isEmpty)
        for length in 230..<256 {
            let content = CallContent(
                Self.key, settings, try PayloadRules(RouteAnswers(), secrets: [secret], hashKey: Array(repeating: 1, count: 32)))
            content.outputs([["t": .string(String(repeating: "x", count: length) + "canary-0123456789")]])
            guard case .text(let text, true)? = content.now.outputs.first?.payload else { Issue.record("no payload"); continue }
            #expect(!text.contains("can"))
        }
        let many = CallContent(Self.key, settings, nil)
        many.outputs(Array(repeating: ["x": 1], count: CallContent.mostOutputs + 5))
        #expect(many.now.outputs.count == CallContent.mostOutputs && many.now.furtherOutputs == 5 && many.now.outputs[0].payload == nil)
    }

    @Test("values of variables are kept out too; one that cannot be looked for is an error where payloads are kept")
    func variables() throws {
        let secret = try #require(try ChildSecret(name: "TOKEN", value: "canary-variable").known)
        let rules = try PayloadRules(RouteAnswers(), secrets: [secret], hashKey: Array(repeating: 1, count: 32))
        var left = 1_000
        #expect(rules.payload(Array(#"{"a":"canary-variable"}"#.utf8), &left) == .text(#"{"a":"[redacted: secret TOKEN]"}"#, isCut: false))
        #expect(try ChildSecret(name: "SHORT", value: "abc").known == nil)
    }
}

extension JSON {
    /// An element of an array.
    fileprivate subscript(index: Int) -> JSON? { array.flatMap { $0.indices.contains(index) ? $0[index] : nil } }
}
