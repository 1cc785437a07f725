import PosternMCP
import Synchronization
import Testing

@testable import PosternConnector

@Suite("Servers that a connector starts")
struct ChildTests {
    @Test("what they say of themselves is printable, bounded and without their secrets")
    func errorLines() {
        var lines = ErrorLines(secrets: ["topsecret", "topsecret-and-more", "abc"])
        #expect(lines.feed(Array("a\u{1B}[31m topsecret-and-more".utf8), at: 0) == [])
        #expect(lines.feed(Array("\nabc topsecret\n\n".utf8), at: 0) == ["a\u{FFFD}[31m [secret]", "abc [secret]"])
        let long = lines.feed(Array((String(repeating: "x", count: 5000) + "\n").utf8), at: 0)
        #expect(long.count == 1 && long[0].utf8.count <= ErrorLines.longest + 3 && long[0].hasSuffix("…"))
        #expect(lines.feed(Array("end".utf8), at: 0) == [] && lines.end(at: 0) == "end" && lines.end(at: 0) == nil)
    }

    @Test("a secret that the cut of a line divides is not told in part")
    func cutSecret() {
        let secret = "topsecret-" + String(repeating: "of-many-letters-", count: 4)
        for shift in 0..<secret.count {
            var lines = ErrorLines(secrets: [secret])
            // Secrets are shown shorter than they are, so that the end of what is kept comes into sight.
            let text = String(repeating: secret, count: 60).dropFirst(shift)
            let told = lines.feed(Array((text + "\n").utf8), at: 0).joined()
            #expect(told.utf8.count < ErrorLines.longest && !told.contains("tops") && told.contains("[secret]"), "\(told)")
        }
    }

    @Test("their lines are bounded in number, for a time")
    func errorFlood() {
        var lines = ErrorLines(secrets: [])
        let flood = Array(String(repeating: "x\n", count: 1000).utf8)
        let told = lines.feed(flood, at: 0)
        #expect(told.count == ErrorLines.most + 1 && told.last?.contains("left out") == true)
        #expect(lines.feed(flood, at: 1).isEmpty && lines.feed(flood, at: ErrorLines.span).count == ErrorLines.most + 1)
    }

    @Test("one that ends at once is started again later and later, one that lived is not kept waiting")
    func backOff() {
        var backOff = RestartBackOff()
        #expect(backOff.wait(at: 0) == 0)
        var waits: [Double] = []
        for _ in 0..<10 {
            backOff.ended(at: 100, lived: 1)
            waits.append(backOff.wait(at: 100))
        }
        #expect(waits == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30] && backOff.wait(at: 131) == 0)
        backOff.ended(at: 200, lived: 60)
        #expect(backOff.wait(at: 200) == 0)
    }

    @Test("one that asks and asks, and reads nothing, is read no further than its input has room", .timeLimit(.minutes(1)))
    func unread() async throws {
        let session = ChildSession(number: 1, era: .modern, seconds: { 0 }, begin: { _, _ in false })
        let parsed = try RawMessage.parse(Array(#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#.utf8), allowsBatch: false)
        let question = try #require(parsed.messages.first)
        let (input, most) = (ChildSession.Input(limit: 1000), 10_000)
        let asked = Asked()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [asked] in
                for _ in 0..<most where await session.received(question, input) { asked.count.withLock { $0 += 1 } }
            }
            for taken in 1...most {
                guard case .element(let refusal) = await input.next() else { throw CancellationError() }
                // In the queue, and one that waits for room.
                try #require(asked.count.withLock { $0 } <= taken + 1000 / refusal.count + 2)
            }
            try await group.waitForAll()
        }
        #expect(asked.count.withLock { $0 } == most)
    }

    @Test("a secret prints nothing of itself")
    func secrets() throws {
        let secret = try ChildSecret(name: "TOKEN", value: "hidden-value")
        var text = ""
        dump(secret, to: &text)
        #expect(!"\(secret) \(String(reflecting: secret)) \(text)".contains("hidden-value"))
        #expect(throws: ConnectorError.self) { try ChildSecret(name: "TOKEN", value: "") }
    }
}

/// How often something was done, for several tasks.
private final class Asked: Sendable {
    let count = Mutex(0)
}

@Suite("Queues of messages")
struct MessageQueueTests {
    private static func take(_ queue: MessageQueue<Int>) async -> Int? { if case .element(let value) = await queue.next() { value } else { nil } }

    @Test("who asks for room goes no faster than the reader", .timeLimit(.minutes(1)))
    func room() async {
        let queue = MessageQueue<Int>(limit: 10)
        let passed = Awaited<Void>()
        await queue.room()
        queue.push(1, bytes: 10)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await queue.room()
                passed.set(())
            }
            // It can only wait: nothing makes room until somebody reads.
            for _ in 0..<100 { await Task.yield() }
            #expect(passed.current == nil)
            #expect(await Self.take(queue) == 1)
            #expect(await passed.get() != nil)
        }
    }

    @Test("many are given out in their order, however many wait", .timeLimit(.minutes(1)))
    func many() async {
        let queue = MessageQueue<Int>(limit: .max)
        for number in 0..<50_000 { queue.push(number, bytes: 1) }
        for number in 0..<50_000 { guard await Self.take(queue) == number else { return #expect(Bool(false), "\(number) is lost") } }
    }

    @Test("what is in it is given out after its end, and nothing more is taken", .timeLimit(.minutes(1)))
    func end() async {
        let queue = MessageQueue<Int>(limit: 10)
        #expect(queue.push(1, bytes: 1))
        queue.finish()
        #expect(!queue.push(2, bytes: 1))
        #expect(await Self.take(queue) == 1)
        guard case .end = await queue.next() else { return #expect(Bool(false), "it goes on") }
        await queue.room()
    }

    @Test("a waiting reader ends with its task, and looks up when it is nudged", .timeLimit(.minutes(1)))
    func waiting() async {
        let queue = MessageQueue<Int>(limit: 10)
        queue.nudge()
        guard case .nudge = await queue.next() else { return #expect(Bool(false), "no nudge") }
        let task = Task { await queue.next() }
        task.cancel()
        guard case .end = await task.value else { return #expect(Bool(false), "it waits on") }
        let other = Task { await Self.take(queue) }
        queue.push(7, bytes: 1)
        #expect(await other.value == 7)
    }
}
