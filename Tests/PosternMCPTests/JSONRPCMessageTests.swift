import PosternJSON
import PosternMCP
import SeededRandom
import Testing

@Suite struct JSONRPCMessageTests {
    private func parse(_ text: String, allowsBatch: Bool = false) throws -> [JSONRPCMessage] {
        try JSONRPCMessage.parse(text.utf8, allowsBatch: allowsBatch)
    }

    @Test func readsEachKind() throws {
        #expect(try parse(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#) == [.request(id: .number(1), method: "ping", params: nil)])
        #expect(
            try parse(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":0.5}}"#)
                == [.notification(method: "notifications/progress", params: ["progress": 0.5])])
        #expect(try parse(#"{"jsonrpc":"2.0","id":"a","result":{"x":[1]}}"#) == [.response(id: .text("a"), result: ["x": [1]])])
        #expect(
            try parse(#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m","data":{"d":1}}}"#)
                == [.failure(id: nil, error: RPCError(code: -32700, message: "m", data: ["d": 1]))])
    }

    @Test(arguments: [
        "", "[", "1", "null", "\"x\"", "{}", #"{"jsonrpc":"1.0","id":1,"result":{}}"#, #"{"id":1,"result":{}}"#,
        #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#,
        #"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, #"{"jsonrpc":"2.0","id":[1],"result":{}}"#, #"{"jsonrpc":"2.0","result":{}}"#,
        #"{"jsonrpc":"2.0","id":1,"result":[]}"#, #"{"jsonrpc":"2.0","id":1,"result":null}"#, #"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
        #"{"jsonrpc":"2.0","method":1}"#, #"{"jsonrpc":"2.0","method":"x","params":[1]}"#,
        #"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"m"}}"#,
        #"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, #"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
        #"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
    ])
    func refusesWhatIsNone(text: String) {
        #expect(throws: JSONRPCMessage.Malformed.self) { try parse(text) }
    }

    @Test func batchesAreReadWhereTheRevisionHasThem() throws {
        let batch = #"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","method":"m"}]"#
        #expect(try parse(batch, allowsBatch: true).count == 2)
        #expect(throws: JSONRPCMessage.Malformed.self) { try parse("[]", allowsBatch: true) }
        #expect(throws: JSONRPCMessage.Malformed.self) { try parse(#"[{"jsonrpc":"2.0","id":1,"result":{}},1]"#, allowsBatch: true) }
        let one = #"{"jsonrpc":"2.0","method":"m"}"#
        let many = "[" + Array(repeating: one, count: JSONRPCMessage.maximumBatch + 1).joined(separator: ",") + "]"
        #expect(throws: JSONRPCMessage.Malformed.self) { try parse(many, allowsBatch: true) }
        #expect(Revision.allCases.filter(\.hasBatches) == [.march2025])
    }

    @Test func whatIsWrittenIsRead() throws {
        for seed in 0..<200 {
            var random = SeededGenerator(seed: UInt64(seed))
            let id: RequestID = Bool.random(using: &random) ? .number(.random(in: -9...9, using: &random)) : .text("i\(seed)")
            let object: JSONObject = ["k": JSON(Int.random(in: 0...9, using: &random)), "ü": ["\n": .null]]
            let messages: [JSONRPCMessage] = [
                .request(id: id, method: "a/b", params: Bool.random(using: &random) ? object : nil), .notification(method: "n", params: object),
                .response(id: id, result: object),
                .failure(id: Bool.random(using: &random) ? id : nil, error: RPCError(code: seed, message: "m", data: .object(object))),
            ]
            for message in messages { #expect(try JSONRPCMessage.parse(message.encoded, allowsBatch: false) == [message], "seed \(seed)") }
            #expect(messages.allSatisfy { !$0.encoded.contains(UInt8(ascii: "\n")) }, "a message is one line")
        }
    }

    @Test func onlyPingIsAnswered() {
        #expect(JSONRPCMessage.reply(to: .text("x"), method: "ping") == .response(id: .text("x"), result: [:]))
        guard case .failure(.text("x")?, let error) = JSONRPCMessage.reply(to: .text("x"), method: "sampling/createMessage") else {
            Issue.record("answered")
            return
        }
        #expect(error.code == RPCError.methodNotFound)
    }
}
