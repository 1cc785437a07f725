import PosternJSON
import PosternMCP
import SeededRandom
import Testing

@Suite("Messages that keep their bytes")
struct RawMessageTests {
    private static func one(_ text: String) throws -> RawMessage {
        let parsed = try RawMessage.parse(Array(text.utf8), allowsBatch: false)
        return try #require(parsed.messages.first)
    }

    private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    @Test("an id is replaced, and every other byte stays as it came")
    func replacing() throws {
        let text = #" { "params" : {"_meta":{ "progressToken" :"t,}\"" ,"x":[1,{"id":2}]},"id":7}, "id" : "\u0041" ,"jsonrpc":"2.0","method":"a/b"} "#
        let message = try Self.one(text)
        #expect(message.kind == .request && message.method == "a/b" && message.id == .text("A"))
        #expect(Self.text(message.text(.id)) == #""\u0041""# && Self.text(message.text(.progressToken)) == #""t,}\"""#)
        let other = Self.text(message.replacing([.id: Array("12".utf8), .progressToken: Array("13".utf8)]))
        #expect(other == text.replacing(#""\u0041""#, with: "12").replacing(#""t,}\"""#, with: "13"))
        #expect(message.replacing([:]) == Array(text.utf8))
        let back = try Self.one(other ?? "").replacing([.id: Array(#""\u0041""#.utf8), .progressToken: Array(#""t,}\"""#.utf8)])
        #expect(back == Array(text.utf8))
    }

    @Test("only the places that count are found")
    func places() throws {
        let progress = try Self.one(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5,"_meta":{"progressToken":6}}}"#)
        #expect(progress.value(.progressToken) == .number(5))
        let cancelled = try Self.one(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}"#)
        #expect(cancelled.value(.cancelledRequest) == .text("r") && cancelled.id == nil)
        #expect(try Self.one(#"{"jsonrpc":"2.0","method":"x","params":{"requestId":1,"progressToken":2}}"#).value(.cancelledRequest) == nil)
        let listed = try Self.one(
            #"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"},"progressToken":1,"requestId":2}}"#)
        #expect(listed.value(.subscription) == .text("s") && listed.value(.progressToken) == nil && listed.value(.cancelledRequest) == nil)
        #expect(try Self.one(#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}"#).kind == .failure(code: -1))
    }

    @Test("ids and tokens are bounded, wherever they stand and whoever sends them")
    func longIDs() throws {
        let places = [
            #"{"jsonrpc":"2.0","id":V,"method":"a"}"#, #"{"jsonrpc":"2.0","i\u0064":V,"result":{}}"#,
            #"{"jsonrpc":"2.0","id":V,"error":{"code":1,"message":"m"}}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":V}}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":V}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":V}}"#,
            #"{"jsonrpc":"2.0","method":"a","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":V}}}"#,
        ]
        for place in places {
            func text(_ count: Int) -> String { place.replacing("V", with: "\"\(String(repeating: "x", count: count - 2))\"") }
            _ = try Self.one(text(RawMessage.longestID))
            #expect(throws: JSONRPCMessage.Malformed.self, "\(place)") { try Self.one(text(RawMessage.longestID + 1)) }
        }
        // A token that is no token, too; and one of many in a batch.
        let list = "[\(String(repeating: "1,", count: RawMessage.longestID))1]"
        let odd = #"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":V}}}"#.replacing("V", with: list)
        #expect(throws: JSONRPCMessage.Malformed.self) { try RawMessage.parse(Array("[\(odd)]".utf8), allowsBatch: true) }
    }

    @Test("batches are cut into messages, where there are batches")
    func batches() throws {
        let text = #"[ {"jsonrpc":"2.0","id":1,"method":"a"} ,{"jsonrpc":"2.0","method":"b"}]"#
        let (messages, isBatch) = try RawMessage.parse(Array(text.utf8), allowsBatch: true)
        #expect(isBatch && messages.map(\.method) == ["a", "b"] && Self.text(messages[0].bytes) == #"{"jsonrpc":"2.0","id":1,"method":"a"}"#)
        #expect(throws: JSONRPCMessage.Malformed.self) { try RawMessage.parse(Array(text.utf8), allowsBatch: false) }
        #expect(throws: JSONRPCMessage.Malformed.self) { try RawMessage.parse(Array("[]".utf8), allowsBatch: true) }
    }

    @Test(
        "what is no message is refused",
        arguments: [
            "", "1", "{}", #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#, #"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
            #"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, #"{"jsonrpc":"1.0","id":1,"method":"a"}"#, #"{"jsonrpc":"2.0","id":1,"method":"a"} x"#,
            #"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#,
        ])
    func malformed(text: String) { #expect(throws: JSONRPCMessage.Malformed.self) { try RawMessage.parse(Array(text.utf8), allowsBatch: false) } }

    @Test("whatever stands around an id, it is found where a parser finds it", arguments: 0..<200)
    func random(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        func space() -> String {
            String((0..<Int.random(in: 0...2, using: &random)).map { _ in [" ", "\t", "\r", "\n"].randomElement(using: &random) ?? " " })
        }
        func value(_ depth: Int) -> String {
            switch Int.random(in: 0...(depth > 3 ? 3 : 5), using: &random) {
            case 0: return "-1.5e3"
            case 1: return "null"
            case 2: return #""a\\\"]},{ \u0022 é""#
            case 3: return "true"
            case 4:
                return "[\(space())" + (0..<Int.random(in: 0...3, using: &random)).map { _ in value(depth + 1) + space() }.joined(separator: ",")
                    + "]"
            default:
                let keys = ["id", "_meta", "params", "progressToken", "x\\u0041"].shuffled(using: &random).prefix(
                    Int.random(in: 0...3, using: &random))
                return "{\(space())" + keys.map { "\"\($0)\"\(space()):\(space())\(value(depth + 1))\(space())" }.joined(separator: ",\(space())")
                    + "}"
            }
        }
        let id = ["17", #""\u0069d""#, #""a,}""#].randomElement(using: &random) ?? "1"
        let parts = ["\"jsonrpc\":\"2.0\"", "\"method\":\"m\"", "\"id\"\(space()):\(space())\(id)", "\"params\":{\"_meta\":{},\"a\":\(value(0))}"]
        let text = "{" + parts.shuffled(using: &random).joined(separator: "\(space()),\(space())") + "}"
        let message = try Self.one(text)
        #expect(Self.text(message.text(.id)) == id, "\(text)")
        let changed = try JSON(parsing: message.replacing([.id: Array("99".utf8)]))
        var expected = try JSON(parsing: text).object ?? [:]
        expected["id"] = 99
        #expect(changed == .object(expected))
    }
}
