import PosternJSON
import SeededRandom
import Testing

@testable import PosternMCP

extension StdioServerMachine {
    fileprivate mutating func receive(_ line: [UInt8]) -> [Action] { receive(Self.read(line)) }
}

@Suite("A server over stdio, as its caller sees it")
struct StdioServerMachineTests {
    typealias Action = StdioServerMachine.Action

    static let profile = ServerProfile(server: ["name": "s", "version": "1"], capabilities: ["tools": [:]], instructions: "do")
    private static let modernMeta =
        #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#

    private static func line(_ id: String, _ method: String, _ params: String = "") -> [UInt8] {
        Array(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{\#(params)}}"#.utf8)
    }

    private static func modern(_ id: String, _ method: String, _ params: String = "") -> [UInt8] {
        line(id, method, modernMeta + (params.isEmpty ? "" : ",") + params)
    }

    private static func notice(_ method: String, _ params: String = "") -> [UInt8] {
        Array(#"{"jsonrpc":"2.0","method":"\#(method)","params":{\#(params)}}"#.utf8)
    }

    private static func messages(_ actions: [Action]) -> [JSON] {
        actions.compactMap { if case .write(let bytes) = $0 { try? JSON(parsing: bytes) } else { nil } }
    }

    private static func code(_ actions: [Action]) -> Int? { messages(actions).first?["error"]?["code"]?.int }

    private static func calls(_ actions: [Action]) -> [ServerCall] {
        actions.compactMap { if case .start(let call) = $0 { call } else { nil } }
    }

    /// One after a handshake of that revision.
    private static func opened(_ revision: String = "2025-11-25") throws -> StdioServerMachine {
        var machine = StdioServerMachine()
        let call = try #require(calls(machine.receive(line("0", "initialize", #""protocolVersion":"\#(revision)""#))).first)
        _ = machine.described(call.number, .success(profile))
        #expect(machine.receive(notice("notifications/initialized")) == [.listen])
        return machine
    }

    @Test(
        "initialize agrees on the caller's revision or the newest with that handshake",
        arguments: [
            ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("2024-11-05", "2025-11-25"),
            ("2026-07-28", "2025-11-25"), ("tomorrow", "2025-11-25"),
        ])
    func negotiation(wanted: String, agreed: String) throws {
        var machine = StdioServerMachine()
        let call = try #require(Self.calls(machine.receive(Self.line(#""a""#, "initialize", #""protocolVersion":"\#(wanted)""#))).first)
        #expect(call.kind == .describe && call.revision.rawValue == agreed)
        let answer = try #require(Self.messages(machine.described(call.number, .success(Self.profile))).first)
        #expect(answer["id"] == "a" && answer["result"]?["protocolVersion"]?.string == agreed)
        #expect(answer["result"]?["serverInfo"]?["name"] == "s" && answer["result"]?["instructions"] == "do")
        #expect(answer["result"]?["capabilities"] == ["tools": [:]])
    }

    @Test("before initialize there is only ping; a second initialize, or one without a revision, is refused")
    func order() throws {
        var machine = StdioServerMachine()
        #expect(Self.code(machine.receive(Self.line("1", "tools/list"))) == RPCError.invalidRequest)
        #expect(Self.messages(machine.receive(Self.line("2", "ping"))).first?["result"] == [:])
        #expect(Self.code(machine.receive(Self.line("3", "initialize"))) == RPCError.invalidParams)
        #expect(machine.receive(Self.notice("notifications/initialized")).isEmpty)
        let call = try #require(Self.calls(machine.receive(Self.line("4", "initialize", #""protocolVersion":"2025-11-25""#))).first)
        #expect(Self.code(machine.receive(Self.line("5", "tools/list"))) == RPCError.invalidRequest)
        #expect(Self.code(machine.receive(Self.modern("6", "tools/list"))) == RPCError.invalidRequest)
        #expect(Self.code(machine.receive(Self.line("7", "initialize", #""protocolVersion":"2025-11-25""#))) == RPCError.invalidRequest)
        // What opens the connection is not cancelled.
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":4"#)).isEmpty)
        // It may be tried again where it has failed.
        #expect(Self.code(machine.described(call.number, .failure(RPCError(code: -32603, message: "away")))) == -32603)
        let second = try #require(Self.calls(machine.receive(Self.line("4", "initialize", #""protocolVersion":"2025-11-25""#))).first)
        _ = machine.described(second.number, .success(Self.profile))
        #expect(Self.calls(machine.receive(Self.line("8", "tools/list"))).count == 1)
        #expect(machine.receive(Self.notice("notifications/initialized")) == [.listen])
        #expect(machine.receive(Self.notice("notifications/initialized")).isEmpty)
        #expect(Self.code(machine.receive(Self.line("9", "initialize", #""protocolVersion":"2025-11-25""#))) == RPCError.invalidRequest)
    }

    @Test("2026-07-28: each request says its revision; eras are not mixed; discover settles none")
    func modernEra() throws {
        var machine = StdioServerMachine()
        let call = try #require(Self.calls(machine.receive(Self.modern("1", "server/discover"))).first)
        let hello = try #require(Self.messages(machine.described(call.number, .success(Self.profile))).first?["result"])
        #expect(hello["supportedVersions"]?.array?.count == Revision.allCases.count && hello["resultType"] == "complete")
        #expect(hello["ttlMs"] == 0 && hello["cacheScope"] == "private" && hello["_meta"]?["io.modelcontextprotocol/serverInfo"]?["name"] == "s")
        var older = machine
        #expect(Self.calls(older.receive(Self.line("2", "initialize", #""protocolVersion":"2025-11-25""#))).count == 1)
        let list = try #require(Self.calls(machine.receive(Self.modern("2", "tools/list", #""cursor":"c""#))).first)
        #expect(list.params == ["cursor": "c"] && list.revision == .july2026)
        let refused = machine.receive(Self.line("3", "initialize", #""protocolVersion":"2025-11-25""#))
        #expect(Self.code(refused) == RPCError.unsupportedRevision)
        #expect(Self.messages(refused).first?["error"]?["data"]?["supported"]?.array?.last == "2026-07-28")
        #expect(Self.code(machine.receive(Self.line("4", "tools/list"))) == RPCError.invalidParams)
        for version in [#""2027-01-01""#, #""2025-11-25""#, "7"] {
            let unknown = Self.line("5", "tools/list", #""_meta":{"io.modelcontextprotocol/protocolVersion":\#(version)}"#)
            #expect(Self.code(machine.receive(unknown)) == RPCError.unsupportedRevision)
        }
        var handshake = try Self.opened()
        #expect(Self.code(handshake.receive(Self.modern("1", "tools/list"))) == RPCError.invalidRequest)
        #expect(Self.code(handshake.receive(Self.line("2", "subscriptions/listen"))) == RPCError.methodNotFound)
    }

    @Test("ids that run are not taken twice, and are free again after their answer")
    func ids() throws {
        var machine = try Self.opened()
        let call = try #require(Self.calls(machine.receive(Self.line("1", "tools/list"))).first)
        let again = Self.messages(machine.receive(Self.line("1", "tools/list")))
        #expect(again.first?["id"] == .null && again.first?["error"]?["code"]?.int == RPCError.invalidRequest)
        // The text "1" is another id.
        #expect(Self.calls(machine.receive(Self.line(#""1""#, "tools/list"))).count == 1)
        #expect(Self.messages(machine.answered(call.number, .success(["x": 1]))) == [["jsonrpc": "2.0", "id": 1, "result": ["x": 1]]])
        #expect(machine.answered(call.number, .success([:])).isEmpty, "one answer")
        #expect(Self.calls(machine.receive(Self.line("1", "tools/list"))).count == 1)
        let long = String(repeating: "x", count: RawMessage.longestID + 1)
        #expect(Self.messages(machine.receive(Self.line("\"\(long)\"", "tools/list"))).first?["id"] == .null)
        // A token is kept and sent back as an id is.
        let token = machine.receive(Self.line("2", "tools/call", #""_meta":{"progressToken":"\#(long)"}"#))
        #expect(Self.code(token) == RPCError.invalidParams && Self.messages(token).first?["id"] == 2)
        #expect(Self.calls(machine.receive(Self.line("2", "tools/call"))).count == 1)
    }

    @Test("answers that nobody has asked for are remarked on once")
    func unasked() throws {
        var machine = try Self.opened()
        let answer = Array(#"{"jsonrpc":"2.0","id":4,"result":{}}"#.utf8)
        #expect(machine.receive(answer) == [.note("the client answers what it was not asked")])
        #expect(machine.receive(answer) == [])
    }

    @Test("no more requests at once than allowed, and room again when one has ended")
    func bound() throws {
        var machine = try Self.opened()
        var numbers: [Int] = []
        for id in 1...StdioServerMachine.mostCalls { numbers += Self.calls(machine.receive(Self.line("\(id)", "tools/call"))).map(\.number) }
        #expect(numbers.count == StdioServerMachine.mostCalls)
        #expect(Self.code(machine.receive(Self.line("9999", "tools/call"))) == RPCError.serverError)
        // One that was cancelled still runs until it is said to have ended.
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":1"#)) == [.cancel(numbers[0])])
        #expect(Self.code(machine.receive(Self.line("9999", "tools/call"))) == RPCError.serverError)
        #expect(machine.answered(numbers[0], .success([:])).isEmpty)
        #expect(Self.calls(machine.receive(Self.line("9999", "tools/call"))).count == 1)
    }

    @Test("what was cancelled is not answered and tells nothing more")
    func cancellation() throws {
        var machine = try Self.opened()
        let call = try #require(Self.calls(machine.receive(Self.line("5", "tools/call", #""_meta":{"progressToken":9}"#))).first)
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":"5""#)).isEmpty)
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":5"#)) == [.cancel(call.number)])
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":5"#)).isEmpty)
        #expect(machine.noticed(call.number, "notifications/progress", ["progress": 1]).isEmpty)
        #expect(machine.answered(call.number, .failure(RPCError(code: -32603, message: "cancelled"))).isEmpty)
        #expect(machine.isIdle)
        #expect(machine.receive(Self.notice("notifications/cancelled", #""requestId":5"#)).isEmpty)
    }

    @Test("progress has the caller's token, and without one it is not told")
    func progress() throws {
        var machine = try Self.opened()
        let call = try #require(
            Self.calls(machine.receive(Self.line("5", "tools/call", #""name":"t","_meta":{"progressToken":"mine","trace":"x"}"#))).first)
        #expect(call.params == ["name": "t", "_meta": ["trace": "x"]])
        let told = machine.noticed(call.number, "notifications/progress", ["progressToken": 77, "progress": 0.5, "total": 2])
        #expect(
            Self.messages(told) == [
                [
                    "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": ["progressToken": "mine", "progress": 0.5, "total": 2],
                ]
            ])
        let silent = try #require(Self.calls(machine.receive(Self.line("6", "tools/call"))).first)
        #expect(machine.noticed(silent.number, "notifications/progress", ["progress": 1]).isEmpty)
        #expect(machine.noticed(silent.number, "notifications/message", ["level": "info"]).count == 1)
        _ = machine.answered(call.number, .success([:]))
        #expect(machine.noticed(call.number, "notifications/progress", ["progress": 1]).isEmpty)
        var modern = StdioServerMachine()
        let quiet = try #require(Self.calls(modern.receive(Self.modern("1", "tools/call"))).first)
        #expect(modern.noticed(quiet.number, "notifications/message", ["level": "info"]).isEmpty, "no level was asked for")
    }

    @Test("changes of lists: unasked after the handshake, by subscription since 2026-07-28")
    func changes() throws {
        let machine = try Self.opened()
        #expect(Self.messages(machine.changed(.tools)).first?["method"] == "notifications/tools/list_changed")
        #expect(StdioServerMachine().changed(.tools).isEmpty)
        var modern = StdioServerMachine()
        #expect(Self.code(modern.receive(Self.modern("1", "subscriptions/listen"))) == RPCError.invalidParams)
        let filter = #""notifications":{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a:b"]}"#
        let call = try #require(Self.calls(modern.receive(Self.modern(#""s""#, "subscriptions/listen", filter))).first)
        #expect(call.kind == .subscribe([.tools]))
        let agreed = try #require(Self.messages(modern.acknowledged(call.number, [.tools])).first)
        #expect(agreed["params"]?["notifications"] == ["toolsListChanged": true])
        #expect(agreed["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"] == "s")
        #expect(Self.messages(modern.changed(call.number, .tools)).first?["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"] == "s")
        #expect(modern.changed(.tools).isEmpty)
        #expect(modern.drain() == [.cancel(call.number)])
        #expect(modern.changed(call.number, .tools).isEmpty && modern.answered(call.number, .success([:])).isEmpty && modern.isIdle)
    }

    @Test("batches are 2025-03-26's alone, and are answered by one message")
    func batches() throws {
        let batch = Array(
            #"""
            [{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":2,"method":"ping"},7,
            {"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":3,"method":"tools/call"},
            {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}},
            {"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}]
            """#.utf8)
        for revision in ["2025-06-18", "2025-11-25"] {
            var machine = try Self.opened(revision)
            #expect(Self.code(machine.receive(batch)) == RPCError.invalidRequest)
        }
        var new = StdioServerMachine()
        #expect(Self.code(new.receive(batch)) == RPCError.invalidRequest)
        var machine = try Self.opened("2025-03-26")
        #expect(Self.code(machine.receive(Array("[]".utf8))) == RPCError.invalidRequest)
        let actions = machine.receive(batch)
        let calls = Self.calls(actions)
        #expect(calls.count == 2 && actions.contains(.cancel(calls[1].number)) && Self.messages(actions).isEmpty)
        #expect(machine.answered(calls[1].number, .success([:])).isEmpty)
        let answers = try #require(Self.messages(machine.answered(calls[0].number, .success(["tools": []]))).first?.array)
        #expect(answers.map { $0["id"] ?? "none" } == [2, .null, .null, 4, 1])
        #expect(Self.messages(machine.receive(Array(#"[{"jsonrpc":"2.0","id":8,"method":"ping"}]"#.utf8))).first?.array?.count == 1)
        #expect(machine.receive(Array(#"[{"jsonrpc":"2.0","method":"notifications/x"}]"#.utf8)).isEmpty)
    }

    @Test("lines that are no message have an answer that says so, by the request's id where it can be read")
    func malformed() throws {
        var machine = try Self.opened()
        let cases: [(String, Int?, JSON)] = [
            ("{", RPCError.parseError, .null), ("\u{0}", RPCError.parseError, .null), ("7", RPCError.invalidRequest, .null),
            (#"{"jsonrpc":"1.0","id":4,"method":"ping"}"#, RPCError.invalidRequest, 4),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, .null),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, .null), (#"{"jsonrpc":"2.0","id":4,"method":"ping","params":[]}"#, -32600, 4),
            (#"{"jsonrpc":"2.0","id":4,"result":7}"#, -32600, .null), (#"{"jsonrpc":"2.0","id":4,"result":{}}"#, nil, .null),
        ]
        for (text, code, id) in cases {
            let actions = machine.receive(Array(text.utf8))
            #expect(Self.code(actions) == code, "\(text)")
            if code != nil { #expect(Self.messages(actions).first?["id"] == id, "\(text)") }
        }
    }

    private static func parts(_ message: JSON) -> [JSON] { message.array ?? [message] }

    private static func ids(askedIn line: [UInt8]) -> [JSON] {
        guard let sent = try? JSON(parsing: line) else { return [] }
        return parts(sent).compactMap { message in message["method"] == nil ? nil : message["id"] }
    }

    private static var seeds: [[UInt8]] {
        var seeds = [line("1", "initialize", #""protocolVersion":"2025-03-26""#), modern("2", "server/discover")]
        for id in 1...4 {
            seeds.append(line("\(id)", "tools/call", #""_meta":{"progressToken":\#(id)}"#))
            seeds.append(modern("\(id)", "tools/list"))
            seeds.append(line("\(id)", "ping"))
            seeds.append(notice("notifications/cancelled", #""requestId":\#(id)"#))
            seeds.append(notice("notifications/initialized"))
            seeds.append(modern("\(id)", "subscriptions/listen", #""notifications":{"toolsListChanged":true}"#))
            seeds.append(Array(#"[{"jsonrpc":"2.0","id":\#(id),"method":"tools/list"},{"jsonrpc":"2.0","id":\#(id + 1),"method":"ping"}]"#.utf8))
        }
        return seeds
    }

    @Test("whatever lines come, nothing breaks and a request has one answer at most", arguments: [UInt64(1), 2, 3, 4])
    func chance(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let seeds = Self.seeds
        for _ in 0..<60 {
            var machine = StdioServerMachine()
            // Answers that may still come under an id; the ids of calls that run, where it is certain which they are; calls that were cancelled.
            var owed: [JSON: Int] = [:]
            var names: [Int: JSON] = [:]
            var cancelled: Set<Int> = []
            var running: [ServerCall] = []
            for _ in 0..<60 {
                let line = Self.changed(seeds.randomElement(using: &random) ?? [], &random)
                let asked = Self.ids(askedIn: line)
                for id in asked { owed[id, default: 0] += 1 }
                var actions = machine.receive(line)
                for action in actions { if case .cancel(let number) = action { cancelled.insert(number) } }
                if let call = Self.calls(actions).first, asked.count == 1 {
                    #expect(!running.contains { names[$0.number] == asked[0] }, "\(asked[0]) runs twice")
                    names[call.number] = asked[0]
                }
                running += Self.calls(actions)
                while let call = running.randomElement(using: &random), Bool.random(using: &random) {
                    running.removeAll { $0.number == call.number }
                    let told = machine.noticed(call.number, "notifications/progress", ["progress": 1]) + Self.end(call, &machine)
                    #expect(told.isEmpty || names[call.number] == nil || !cancelled.contains(call.number), "a cancelled request is answered")
                    actions += told
                }
                for message in Self.messages(actions).flatMap(Self.parts) {
                    guard let id = message["id"], !id.isNull else { continue }
                    owed[id, default: 0] -= 1
                    #expect(owed[id, default: 0] >= 0, "\(id) was answered more often than it was asked")
                }
            }
            for call in running { _ = Self.end(call, &machine) }
            #expect(machine.isIdle)
        }
    }

    private static func end(_ call: ServerCall, _ machine: inout StdioServerMachine) -> [Action] {
        call.kind == .describe ? machine.described(call.number, .success(profile)) : machine.answered(call.number, .success([:]))
    }

    /// The line as it is, or with some bytes of it changed.
    private static func changed(_ line: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        guard !line.isEmpty, Int.random(in: 0..<4, using: &random) == 0 else { return line }
        var line = line
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            line[Int.random(in: line.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        return line
    }
}
