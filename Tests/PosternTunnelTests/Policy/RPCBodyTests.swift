import Foundation
import PosternJSON
import SeededRandom
import Testing

@testable import PosternConnector

@Suite("Bodies under a policy")
struct RPCBodyTests {
    private static func rule(_ bytes: [UInt8]) -> String? {
        do throws(PolicyRefusal) {
            _ = try RPCBody(bytes)
            return nil
        } catch {
            return error.rule
        }
    }

    private static func rule(_ text: String) -> String? { rule(Array(text.utf8)) }

    @Test("are read")
    func reading() throws {
        let call = try RPCBody(
            #" {"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"read","arguments":{"path":"\u002fx"},"_meta":{"progressToken":1}}}"#
                .utf8)
        #expect(!call.isBatch && call.messages.count == 1)
        #expect(call.messages[0].tool == "read" && call.messages[0].arguments["path"]?.string == "/x" && call.messages[0].requestID == "a")
        #expect(try RPCBody(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.utf8).messages[0].kind == .notification)
        #expect(try RPCBody(#"{"jsonrpc":"2.0","id":7,"result":{}}"#.utf8).messages[0].kind == .response(id: 7))
        #expect(try RPCBody(#"[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":8,"method":"ping"}]"#.utf8).messages.count == 2)
        // A method by an escape is the method.
        #expect(try RPCBody(#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"name":"x"}}"#.utf8).messages[0].tool == "x")
    }

    @Test(
        "that could be read in two ways are refused",
        arguments: [
            // One JSON value, strict.
            ("", "body.json"), ("{", "body.json"), ("{}{}", "body.json"), ("\u{FEFF}{}", "body.json"), (#"{"a":1,}"#, "body.json"),
            ("{'a':1}", "body.json"),
            ("NaN", "body.json"), (#"{"a":01}"#, "body.json"), (#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, "body.json"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping"}"# + "\u{0}", "body.json"), (#"/**/{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "body.json"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\ud800"}}"#, "body.json"),
            // Keys that are the same after unescaping.
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, "body.json"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#, "body.json"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"e\u0301":1,"\u00e9":2}}"#, "body.json"),
            // And after case folding.
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","\u004dETHOD":"tools/call"}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"param\u017f":{"name":"x"}}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"k":1,"\u212a":2}}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[{"b":{"x":1,"X":2}}]}}"#, "body.keys"),
            // The look-alike alone is enough.
            (#"{"jsonrpc":"2.0","id":1,"Method":"tools/call"}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{}}}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"b"}}"#, "body.keys"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}}"#, "body.keys"),
            // The form of messages.
            ("1", "body.message"), ("\"x\"", "body.message"), ("null", "body.message"), ("{}", "body.message"), ("[1]", "body.message"),
            (#"{"id":1,"method":"ping"}"#, "body.message"), (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "body.message"),
            (#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "body.message"), (#"{"jsonrpc":"2.0","id":1}"#, "body.message"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, "body.message"),
            (#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, "body.message"),
            (#"{"jsonrpc":"2.0","result":{}}"#, "body.message"), (#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, "body.message"),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "body.id"), (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "body.id"),
            (#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "body.id"),
            (#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#, "body.id"),
            (#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#, "body.id"),
            (#"{"jsonrpc":"2.0","id":1,"method":1}"#, "body.method"), (#"{"jsonrpc":"2.0","id":1,"method":""}"#, "body.method"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000"}"#, "body.method"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/cаll"}"#, "body.method"),
            (#"{"jsonrpc":"2.0","id":1,"method":" tools/call"}"#, "body.method"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":["a"]}"#, "body.params"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, "body.params"),
            (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":1}}"#, "body.params"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, "body.name"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#, "body.name"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r\u00e9ad"}}"#, "body.name"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read\n"}}"#, "body.name"),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#, "body.arguments"),
            ("[]", "body.batch"), (#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#, "body.batch"),
            (#"[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]"#, "body.message"),
        ])
    func refusals(_ body: String, _ rule: String) { #expect(Self.rule(body) == rule) }

    @Test("that are no UTF-8 are refused")
    func encodings() throws {
        let good = #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"x"}}"#
        for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian, .utf32] {
            let bytes = Array(try #require(good.data(using: encoding)))
            #expect(Self.rule(bytes) == "body.json")
        }
        // Overlong, a surrogate, a lone continuation, a byte that never stands, one that is cut.
        for bytes in [[0xC0, 0xAF], [0xED, 0xA0, 0x80], [0x80], [0xFF], [0xE2, 0x82]] as [[UInt8]] {
            let parts = good.split(separator: "x").map { Array($0.utf8) }
            #expect(Self.rule(parts[0] + bytes + parts[1]) == "body.json")
        }
    }

    @Test("that are deep or hold very many values are refused, whatever their size")
    func bounds() {
        func nested(_ depth: Int) -> String {
            #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
                + "}}"
        }
        #expect(Self.rule(nested(RPCBody.mostDepth - 2)) == nil)
        #expect(Self.rule(nested(RPCBody.mostDepth - 1)) == "body.json")
        #expect(Self.rule(String(repeating: "[", count: 1_000_000)) == "body.json")
        func many(_ count: Int) -> String {
            #"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[0"# + String(repeating: ",0", count: count) + "]}}"
        }
        #expect(Self.rule(many(90_000)) == nil)
        #expect(Self.rule(many(RPCBody.mostValues)) == "body.json")
        let ping = #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
        #expect(Self.rule("[" + Array(repeating: ping, count: RPCBody.mostMessages + 1).joined(separator: ",") + "]") == "body.batch")
    }

    /// What lenient readers make of a body: Foundation's parser, and all members that some case of the key finds.
    private static func lenient(_ bytes: [UInt8], _ key: String) -> [String] {
        guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else { return [] }
        return object.filter { $0.key.lowercased() == key || $0.key.uppercased() == key.uppercased() }.map { "\($0.value)" }
    }

    @Test("of chance: whatever passes is the same message to another reader, also to one that does not tell case apart")
    func otherReaders() throws {
        var chance = SeededGenerator(seed: 41)
        let seeds = [
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"a":[1,"é",null]}}}"#,
            #"{"jsonrpc":"2.0","id":"x","method":"ping","m\u0065thod2":1,"Extra":{"method":"y"}}"#,
        ]
        let pieces = [
            "method", "Method", "m\\u0065thod", "\"", ",", ":", "{", "}", "tools/call", "ping", "\\", "\u{212A}", "ſ", "params", "\n", "\u{0}",
        ]
        var passed = 0
        for _ in 0..<20_000 {
            var bytes = Array((seeds.randomElement(using: &chance) ?? "").utf8)
            for _ in 0..<Int.random(in: 0...2, using: &chance) {
                let start = Int.random(in: 0..<bytes.count, using: &chance)
                let end = min(bytes.count, start + Int.random(in: 0...8, using: &chance))
                bytes.replaceSubrange(start..<end, with: (pieces.randomElement(using: &chance) ?? "").utf8)
            }
            guard let body = try? RPCBody(bytes), let message = body.messages.first, !body.isBatch else { continue }
            passed += 1
            #expect(Self.lenient(bytes, "method") == (message.method.isEmpty ? [] : [message.method]), "\(String(decoding: bytes, as: UTF8.self))")
            let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
            #expect((object["params"] as? [String: Any])?["name"] as? String == message.params["name"]?.string)
        }
        #expect(passed > 1_000)
    }
}
