import Foundation
import PosternHTTP
import PosternJSON
import SeededRandom
import Testing

@testable import PosternConnector

@Suite("Answers under a policy")
struct AnswerScreenTests {
    private static let list =
        #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","inputSchema":{"minimum":1.50}},{"name":"write"},{"name":"drop"}],"nextCursor":"2"}}"#

    private static func screen(_ policy: String = "tools: {allow: [read, write], deny: [write]}") throws -> AnswerScreen {
        AnswerScreen(policy: try PolicyDocument.policy(policy), identity: PolicyDocument.identity())
    }

    private static func names(_ bytes: [UInt8]?) throws -> [String] {
        let bytes = try #require(bytes)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let tools = try #require((object["result"] as? [String: Any])?["tools"] as? [[String: Any]])
        return tools.compactMap { $0["name"] as? String }
    }

    @Test("lists of tools lose those that the caller may not call")
    func lists() throws {
        let screened = try Self.screen().screen(Array(Self.list.utf8))
        #expect(try Self.names(screened.bytes) == ["read"] && screened.hidden == 2 && screened.seen.map(\.tool) == ["read"])
        #expect(String(decoding: screened.bytes ?? [], as: UTF8.self).contains("nextCursor"))
        let batch = try Self.screen().screen(Array(#"[{"jsonrpc":"2.0","id":2,"result":{}},\#(Self.list)]"#.utf8))
        #expect(batch.hidden == 2)
    }

    @Test("what hides nothing stays byte by byte")
    func untouched() throws {
        for text in [
            #"{ "jsonrpc":"2.0", "id":1, "result":{ "tools":[ {"name":"re\u0061d","n":1.50} ] } }"#,
            #"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#,
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"\ud800"}}"#, #"{"jsonrpc":"2.0","id":1,"result":{"a":1,"A":2}}"#, "", "[]",
            "\"x\"",
            #"{"jsonrpc":"2.0","method":"sampling/createMessage","id":1,"params":{"tools":[{"name":"x"}]}}"#,
        ] { #expect(try Self.screen().screen(Array(text.utf8)).bytes == nil, "\(text)") }
    }

    @Test("a policy that only records hides nothing and counts")
    func dryRun() throws {
        let screened = try Self.screen("mode: dry_run\ntools: {allow: [read]}").screen(Array(Self.list.utf8))
        #expect(screened.bytes == nil && screened.hidden == 2)
    }

    @Test("a pinned tool that has changed is left out, for as long as it is another one")
    func pins() throws {
        let pin = ToolDigest(of: ["name": "read", "inputSchema": ["minimum": 1.5]])
        let policy = "tools: {pins: {read: \"\(pin)\"}}"
        #expect(try Self.names(Self.screen(policy).screen(Array(Self.list.utf8)).bytes) == ["read"])
        let changed = Array(Self.list.replacing("1.50", with: "1.51").utf8)
        let screened = try Self.screen(policy).screen(changed)
        #expect(try Self.names(screened.bytes).isEmpty && screened.seen.map(\.tool) == ["read"])
    }

    @Test(
        "a list that another reader could find where this one does not is refused",
        arguments: [
            #"{"result":{"tools":[]},"result":{"tools":[{"name":"drop"}]}}"#, #"{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"drop"}]}}"#,
            #"{"jsonrpc":"2.0","id":1,"re\u017fult":{"tools":[{"name":"drop"}]}}"#, #"{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"drop"}]}}"#,
            #"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"TOOLS":[{"name":"drop"}]}}"#,
            #"{"id":1,"result":{"tools":[{"name":"drop"}]}} "# + "\u{0}",
            #"{"id":1,"result":{"tools":[{"name":"read","description":"\ud800"}]}}"#, "{\"id\":1", "\u{FEFF}" + list, "data",
        ])
    func refused(_ text: String) throws {
        #expect(throws: AnswerScreen.Problem.self) { try Self.screen().screen(Array(text.utf8)) }
    }

    @Test("tools without a plain name are left out")
    func names() throws {
        let text =
            #"{"id":1,"result":{"tools":[{"name":"rea\u0000d"},{"Name":"read"},{"name":"read","Name":"drop"},{"name":1},"read",{"name":"read","Description":"x"}]}}"#
        #expect(try Self.names(Self.screen("tools: {allow: [\"*\"]}").screen(Array(text.utf8)).bytes).isEmpty)
    }

    @Test("what cannot be read is not passed on")
    func plans() throws {
        func plan(_ fields: [(String, String)], status: Int = 200, method: String = "POST") throws -> AnswerScreen.Plan {
            let lines = ["HTTP/1.1 \(status) X"] + fields.map { "\($0.0): \($0.1)" }
            return try AnswerScreen.plan(try ResponseHead(lines: lines.map { ArraySlice($0.utf8) }), to: method, hasBody: true)
        }
        #expect(try plan([("Content-Type", "application/json; charset=utf-8")]) == .whole && plan([("Content-Type", "Text/Event-Stream")]) == .events)
        #expect(try plan([("Content-Type", "application/problem+json")], status: 404) == .whole && plan([], status: 202) == .pass)
        #expect(try plan([("Content-Type", "text/html")], status: 404) == .pass && plan([("Content-Type", "text/html")], method: "GET") == .pass)
        for fields in [
            [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            [("Content-Type", "application/json"), ("Content-Type", "text/plain")],
            [("Content-Type", "application/json; charset=utf-16")], [("Content-Type", "text/plain")], [],
        ] { #expect(throws: AnswerScreen.Problem.self, "\(fields)") { try plan(fields) } }
    }
}

@Suite("Event streams under a policy")
struct EventScreenTests {
    private static let list = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"drop"}]}}"#
    private static let shown = #"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}]}}"#

    /// What passes of a stream that comes in the pieces that `sizes` says.
    private static func pass(_ text: String, _ sizes: () -> Int = { 7 }) throws -> String {
        let screen = AnswerScreen(policy: try PolicyDocument.policy("tools: {allow: [read]}"), identity: PolicyDocument.identity())
        var stream = EventStream(limit: 10_000)
        var rest = Array(text.utf8)[...]
        var output: [UInt8] = []
        while !rest.isEmpty {
            let piece = rest.prefix(sizes())
            rest = rest.dropFirst(piece.count)
            for event in try stream.feed(piece) { output += try screen.screen(event).bytes ?? event.bytes }
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test("lists of tools are filtered, everything else stays byte by byte, however it is cut")
    func filtering() throws {
        let before = ": hello\n\nid: 1\nretry: 5\ndata:\n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":2,\"result\":{}}\r\n\r\n"
        let after = "event: endpoint\ndata: /messages?x\n\n:\r\rdata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n"
        let text = before + "id: 7\n: note\ndata: \(Self.list)\n\n" + after
        var chance = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            let passed = try Self.pass(text) { Int.random(in: 1...40, using: &chance) }
            #expect(passed == before + "id: 7\n: note\ndata: \(Self.shown)\n\n" + after)
        }
        // Over several data lines, with CR alone, with a mark at the start, without the space.
        let parts = Self.list.replacing("\"result\"", with: "\ndata:\"result\"")
        #expect(try Self.pass("data:\(parts)\n\n") == "data: \(Self.shown)\n\n")
        #expect(try Self.pass("\u{FEFF}data: \(Self.list)\r\r") == "data: \(Self.shown)\n\n")
    }

    @Test("an event that is not ended is no event")
    func unfinished() throws { #expect(try Self.pass("data: \(Self.list)\n") == "") }

    @Test("no event hides behind what some readers take for the end of a line", arguments: ["\u{2028}", "\u{2029}", "\u{85}"])
    func lineBreaks(_ mark: String) throws {
        // A reader that splits at `mark` would find an event with a list of its own in the text.
        let text = "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"x\":\"\(mark)\(mark)data: {}\(mark)\(mark)\"}}\n\n"
        let passed = try Self.pass(text)
        #expect(!passed.unicodeScalars.contains(where: { mark.unicodeScalars.contains($0) }) && passed.hasSuffix("\n\n"))
        let data = try JSON(parsing: String(passed.dropFirst("data: ".count)))
        #expect(data["result"]?["x"]?.string == "\(mark)\(mark)data: {}\(mark)\(mark)")
        #expect(throws: EventStream.Problem.ambiguousLine) { try Self.pass(": \(mark)data: {}\n\n") }
        #expect(throws: EventStream.Problem.ambiguousLine) { try Self.pass("event: x\(mark)\n\n") }
        #expect(throws: AnswerScreen.Problem.self) { try Self.pass("event: endpoint\ndata: /\(mark)data: {}\n\n") }
    }

    @Test(
        "what is no message is not passed on",
        arguments: ["data: x\n\n", "event: message\ndata: {\n\n", "data: {\"a\":1,\"a\":2}\n\n", ": \u{0B}data: 1\n\n"])
    func refused(_ text: String) { #expect(throws: (any Error).self) { try Self.pass(text) } }

    @Test("an event is bounded")
    func bounds() throws {
        #expect(throws: EventStream.Problem.tooLarge) { try Self.pass("data: " + String(repeating: "x", count: 20_000)) }
        #expect(throws: EventStream.Problem.tooLarge) { try Self.pass(String(repeating: ": x\n", count: 20_000)) }
    }
}
