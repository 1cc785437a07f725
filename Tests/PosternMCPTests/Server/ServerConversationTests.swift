import PosternJSON
import PosternMCP
import Testing

@Suite("One server behind many requests")
struct ServerConversationTests {
    private static func message(_ text: String) throws -> RawMessage {
        try #require(try RawMessage.parse(Array(text.utf8), allowsBatch: false).messages.first)
    }

    private static func call(_ id: String, token: String? = nil, method: String = "tools/call") throws -> RawMessage {
        let meta = token.map { #","params":{"_meta":{"progressToken":\#($0)}}"# } ?? ""
        return try message(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"\#(meta)}"#)
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func sent(_ lines: [[UInt8]]) throws -> [RequestID?] { try lines.map { try message(text($0)).id } }

    private static func result(_ id: Int, _ more: String = "") throws -> RawMessage {
        try message(#"{"jsonrpc":"2.0","id":\#(id),"result":{\#(more)}}"#)
    }

    @Test("the same id of two callers becomes two, and each answer gets its own back")
    func ids() throws {
        var conversation = ServerConversation(era: .handshake)
        let first = try conversation.send([try Self.call(#""a""#)], stream: 1)
        let second = try conversation.send([try Self.call(#""\u0061""#)], stream: 2)
        #expect(try Self.sent(first + second) == [.number(1), .number(2)])
        let answer = conversation.received(try Self.result(2, #""x":1"#))
        #expect(answer == .answer(stream: 2, Array(#"{"jsonrpc":"2.0","id":"\u0061","result":{"x":1}}"#.utf8), failure: nil))
        #expect(conversation.received(try Self.result(2)) == .stray)
        #expect(conversation.received(try Self.message(#"{"jsonrpc":"2.0","id":"1","result":{}}"#)) == .stray)
        #expect(conversation.received(try Self.result(99)) == .stray)
        #expect(conversation.runningCalls == 1)
        let failure = conversation.received(try Self.message(#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#))
        #expect(failure == .answer(stream: 1, Array(#"{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"message":"no"}}"#.utf8), failure: -32601))
    }

    @Test("progress goes where its call came from, by the caller's token")
    func progress() throws {
        var conversation = ServerConversation(era: .modern)
        for stream in 1...2 {
            let line = try #require(try conversation.send([try Self.call("5", token: #""same""#)], stream: stream).first)
            #expect(try Self.message(Self.text(line)).value(.progressToken) == .number(Int64(stream)))
        }
        func told(_ token: String) throws -> ServerConversation.Output {
            conversation.received(
                try Self.message(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":\#(token),"progress":1}}"#))
        }
        #expect(
            try told("2")
                == .notice(
                    stream: 2, Array(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"same","progress":1}}"#.utf8)))
        #expect(try told(#""same""#) == .stray)
        #expect(try told("3") == .stray)
    }

    @Test("a caller that goes away cancels since 2026-07-28, and nothing before that")
    func disconnects() throws {
        for era in [Era.handshake, .modern] {
            var conversation = ServerConversation(era: era)
            _ = try conversation.send([try Self.call("1"), try Self.call("2")], stream: 1)
            _ = try conversation.send([try Self.call("3")], stream: 2)
            let lines = try conversation.left(stream: 1).map { try Self.message(Self.text($0)) }
            #expect(lines.map(\.method) == (era == .modern ? ["notifications/cancelled", "notifications/cancelled"] : []))
            #expect(lines.map { $0.value(.cancelledRequest) } == (era == .modern ? [.number(1), .number(2)] : []))
            #expect(conversation.received(try Self.result(1)) == .stray)
            guard case .answer(stream: 2, _, _) = conversation.received(try Self.result(3)) else {
                Issue.record("the other caller's answer is lost")
                return
            }
        }
    }

    @Test("a cancellation names the server's id of that caller's request, and nobody else's")
    func cancellations() throws {
        let cancel = try Self.message(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"b","reason":"r"}}"#)
        var conversation = ServerConversation(era: .handshake)
        #expect(try conversation.send([cancel], stream: 1).isEmpty)
        _ = try conversation.send([try Self.call(#""a""#), try Self.call(#""b""#)], stream: 1)
        let line = try #require(try conversation.send([cancel], stream: 0).first)
        #expect(Self.text(line) == #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2,"reason":"r"}}"#)
        #expect(try conversation.send([cancel], stream: 0).isEmpty)
        // Callers without sessions share ids, so there it says nothing.
        var modern = ServerConversation(era: .modern)
        _ = try modern.send([try Self.call(#""b""#)], stream: 1)
        #expect(try modern.send([cancel], stream: 2).isEmpty)
    }

    @Test("a server's request is answered once, by its own id")
    func requests() throws {
        var conversation = ServerConversation(era: .handshake)
        _ = try conversation.send([try Self.call("1")], stream: 4)
        let asked = conversation.received(try Self.message(#"{"jsonrpc":"2.0","id":"q\u0031","method":"roots/list"}"#))
        #expect(asked == .notice(stream: 4, Array(#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#.utf8)))
        let response = try Self.result(2, #""roots":[]"#)
        #expect(try conversation.send([response], stream: 0).map(Self.text) == [#"{"jsonrpc":"2.0","id":"q\u0031","result":{"roots":[]}}"#])
        #expect(throws: ServerConversation.Refusal.notAsked) { try conversation.send([response], stream: 0) }
        // A call's number is no number of a question.
        #expect(throws: ServerConversation.Refusal.notAsked) { try conversation.send([try Self.result(1)], stream: 0) }
        var modern = ServerConversation(era: .modern)
        guard case .server(let line) = modern.received(try Self.message(#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#)) else {
            Issue.record("the server's request is not refused")
            return
        }
        #expect(try Self.message(Self.text(line)).kind == .failure(code: RPCError.methodNotFound))
    }

    @Test("what belongs to no call waits for a listener, as much as is bounded, and requests longest")
    func listening() throws {
        var conversation = ServerConversation(era: .handshake)
        func note(_ number: Int) throws -> RawMessage {
            try Self.message(#"{"jsonrpc":"2.0","method":"notifications/message","params":{"n":\#(number)}}"#)
        }
        #expect(conversation.received(try Self.message(#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#)) == .kept)
        for number in 0..<100 { #expect(conversation.received(try note(number)) == .kept) }
        let kept = conversation.listened()
        #expect(kept.count == ServerConversation.mostKept && Self.text(kept[0]).contains("roots/list") && Self.text(kept[1]).contains(#""n":37"#))
        #expect(conversation.received(try note(1)) == .listener(try note(1).bytes))
        conversation.unlistened()
        #expect(conversation.received(try note(2)) == .kept)
        // Callers without sessions need not know of one another.
        var modern = ServerConversation(era: .modern)
        _ = try modern.send([try Self.call("1")], stream: 1)
        #expect(modern.received(try note(3)) == .notice(stream: 1, try note(3).bytes))
        _ = try modern.send([try Self.call("1")], stream: 2)
        #expect(modern.received(try note(3)) == .stray)
    }

    @Test("messages of a subscription find it")
    func subscriptions() throws {
        var conversation = ServerConversation(era: .modern)
        for stream in 1...2 { _ = try conversation.send([try Self.call(#""s""#, method: "subscriptions/listen")], stream: stream) }
        let text = #"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}"#
        #expect(
            conversation.received(try Self.message(text)) == .notice(stream: 2, Array(text.replacing(":2}", with: #":"s"}"#).utf8)))
        let end = #"{"jsonrpc":"2.0","id":2,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}"#
        #expect(
            conversation.received(try Self.message(end))
                == .answer(stream: 2, Array(end.replacing(":2,", with: #":"s","#).replacing(":2}", with: #":"s"}"#).utf8), failure: nil))
    }

    @Test("a server that ends fails every call that somebody waits for, and knows nothing of them afterwards")
    func end() throws {
        var conversation = ServerConversation(era: .handshake)
        _ = try conversation.send([try Self.call(#""a""#)], stream: 1)
        _ = try conversation.send([try Self.call("7")], stream: 2)
        _ = conversation.left(stream: 1)
        let failed = conversation.ended(RPCError(code: 502, message: "gone"))
        #expect(failed.map(\.stream) == [2])
        #expect(failed.map { Self.text($0.bytes) } == [#"{"jsonrpc":"2.0","id":7,"error":{"code":502,"message":"gone"}}"#])
        #expect(conversation.runningCalls == 0)
        #expect(conversation.received(try Self.result(2)) == .stray)
        // Numbers are not used again, so that a late answer finds nothing.
        #expect(try Self.sent(conversation.send([try Self.call("7")], stream: 3)) == [.number(3)])
    }

    @Test("calls are bounded, those too whose callers have gone away")
    func bounds() throws {
        var conversation = ServerConversation(era: .handshake)
        for number in 0..<ServerConversation.mostCalls { _ = try conversation.send([try Self.call("\(number)")], stream: 1) }
        _ = conversation.left(stream: 1)
        #expect(throws: ServerConversation.Refusal.tooManyCalls) { try conversation.send([try Self.call("0")], stream: 2) }
        #expect(try conversation.send([try Self.message(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)], stream: 0).count == 1)
    }
}

@Suite("What opened a session")
struct ServerHandshakeTests {
    private static func message(_ text: String) throws -> RawMessage {
        try #require(try RawMessage.parse(Array(text.utf8), allowsBatch: false).messages.first)
    }

    @Test("is told to the next server, which has to agree to the same")
    func replay() throws {
        var handshake = ServerHandshake()
        let hello = try Self.message(#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#)
        handshake.sent(hello)
        func answer(_ revision: String) -> [UInt8] { Array(#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"\#(revision)"}}"#.utf8) }
        #expect(!handshake.isDone && !handshake.answered(Array(#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#.utf8)))
        #expect(!handshake.isDone)
        #expect(handshake.answered(answer("2025-03-26")) && handshake.isDone && handshake.hasBatches)
        let ready = try Self.message(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        handshake.sent(ready)
        // What a caller sends later does not change how it began.
        handshake.sent(try Self.message(#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"x":1}}"#))
        let replay = try #require(handshake.replay)
        #expect(replay.first == hello && replay.second == ready)
        #expect(handshake.isSame(answer("2025-03-26")) && !handshake.isSame(answer("2025-06-18")) && !handshake.isSame([]))
    }
}
