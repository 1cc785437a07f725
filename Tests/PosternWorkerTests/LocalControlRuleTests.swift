import PosternJSON
import Testing

@testable import PosternWorker

@Suite struct LocalControlRuleTests {
    @Test func readsTargets() {
        #expect(FreezeTarget(words: ["all"]) == .all && FreezeTarget(words: ["session", "sesn_01"]) == .session("sesn_01"))
        #expect(FreezeTarget(words: ["agent", "agent_x-1"]) == .agent("agent_x-1"))
        let wrong: [[String]] = [
            [], ["all", "x"], ["session"], ["session", ""], ["session", "a/b"], ["session", "../x"], ["agent", "a b"], ["everything"],
            ["session", String(repeating: "x", count: 101)], ["session", "a", "b"],
        ]
        for words in wrong { #expect(FreezeTarget(words: words) == nil, "\(words)") }
        for target in [FreezeTarget.all, .session("a"), .agent("b")] { #expect(FreezeTarget(json: target.json) == target) }
        #expect(FreezeTarget(json: "all") == nil && FreezeTarget(json: [1]) == nil && FreezeTarget(json: nil) == nil)
    }

    @Test func keepsOrders() {
        var orders = FreezeOrders()
        func freeze(_ target: FreezeTarget) -> Bool { orders.freeze(target) }
        #expect(orders.order(session: "s", agent: "a") == nil)
        #expect(freeze(.session("s")))
        #expect(orders.order(session: "s", agent: nil) == .session("s") && orders.order(session: "t", agent: "a") == nil)
        #expect(freeze(.agent("a")))
        #expect(orders.order(session: "t", agent: "a") == .agent("a") && orders.order(session: "s", agent: "a") == .agent("a"))
        #expect(freeze(.all) && freeze(.all))
        #expect(orders.order(session: "x", agent: nil) == .all)
        #expect(FreezeOrders(json: orders.json) == orders)
        // A narrower thaw leaves the wider order.
        orders.thaw(.session("s"))
        #expect(orders.order(session: "s", agent: nil) == .all && orders.targets.count == 2)
        orders.thaw(.all)
        #expect(orders.targets.isEmpty)
        for number in 0..<FreezeOrders.most { #expect(freeze(.session("s\(number)"))) }
        #expect(!freeze(.session("one-more")) && orders.targets.count == FreezeOrders.most)
        // A file that is not understood is not an empty one.
        for wrong: JSON in ["x", [["nonsense"]], [["session", "a/b"]], ["all"], .null] { #expect(FreezeOrders(json: wrong) == nil, "\(wrong.text)") }
    }

    @Test func readsRequestsAndAnswers() throws {
        for request in [LocalControlRequest.status, .freeze(.all), .thaw(.session("a")), .freeze(.agent("b"))] {
            #expect(try LocalControlRequest(json: request.json) == request)
        }
        for wrong: JSON in [.null, [], ["verb": "kill"], ["verb": "freeze"], ["verb": "thaw", "target": ["x"]]] {
            #expect(throws: LocalControlError.self, "\(wrong.text)") { try LocalControlRequest(json: wrong) }
        }
        var reply = LocalControlReply()
        reply.sessions = [.init(session: "s", agent: nil, isFrozen: true, wasKilled: true, problem: "x")]
        _ = reply.frozen.freeze(.all)
        reply.milliseconds = 7
        #expect(try LocalControlReply(json: reply.json) == reply && !reply.isDone)
        for wrong: JSON in [.null, [:], ["type": "worker_control"], ["type": "worker_control", "frozen": [], "sessions": [["session": "a"]]]] {
            #expect(throws: LocalControlError.self, "\(wrong.text)") { try LocalControlReply(json: wrong) }
        }
    }

    @Test func readsOneBoundedLine() throws {
        let bytes = LocalControlLine.encoded(LocalControlRequest.status.json)
        func read(_ bytes: [UInt8], byByte: Bool = false) throws -> JSON? {
            var line = LocalControlLine(limit: 100)
            guard byByte else { return try line.append(bytes) }
            for byte in bytes.dropLast() { if let early = try line.append([byte]) { return early } }
            return try line.append(bytes.suffix(1))
        }
        #expect(try read(bytes, byByte: true) == LocalControlRequest.status.json && read(bytes) == LocalControlRequest.status.json)
        #expect(try read(Array(bytes.dropLast())) == nil)
        for wrong in [[UInt8](repeating: 0x20, count: 101), [UInt8](repeating: 0x20, count: 101) + [0x0A], Array("{\n".utf8)] {
            #expect(throws: LocalControlError.self) { try read(wrong) }
        }
    }
}
