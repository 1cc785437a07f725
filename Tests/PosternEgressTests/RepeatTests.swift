import NIOCore
import NIOPosix
import PosternHTTP
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// A server that reads a request over a kept connection and ends it without an answer: it may have acted on the request.
@Suite("Requests over a kept connection", .timeLimit(.minutes(1)))
struct RepeatTests {
    private struct Story: Sendable {
        /// The methods that arrived, in order.
        var seen: [String]
        /// What the client got for its second request.
        var answer: String
        var outcomes: [EgressOutcome]
    }

    /// A first request is answered and its connection kept; the second one, of `method`, is read by a server that dies then.
    private func story(_ method: String, fields: String = "", body: String = "", budget: Int? = nil) async throws -> Story {
        let seen = TextLog()
        let server = try await RawServer.start { stream in
            for number in 0... {
                var head = ""
                while !head.contains("\r\n\r\n") {
                    guard let bytes = try await stream.read() else { return }
                    head += String(buffer: bytes)
                }
                seen.append(String(head.prefix { $0 != " " }))
                if number == 1 { return }
                try await stream.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8))
            }
        }
        let host = "kept.test:\(server.port)"
        var budgets = ByteBudgets()
        budgets.session = budget
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#, budgets: budgets)
        setup.names = ["kept.test": ["127.0.0.1"]]
        let answers = TextLog()
        let outcomes = OutcomeBox()
        try await ProxyFixture.run(setup) { proxy in
            let stream = try await proxy.connect()
            let head = { (method: String, fields: String) in
                Array("\(method) http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)\(fields)\r\n".utf8)
            }
            try await stream.write(head("GET", ""))
            var first = ""
            while !first.hasSuffix("ok") { first += String(buffer: try #require(try await stream.read(within: .seconds(20)))) }
            try await stream.write(head(method, fields + "Connection: close\r\n") + Array(body.utf8))
            answers.append(try await stream.readAll())
            stream.close()
            outcomes.set(await proxy.outcomes(2))
            // One call, one intent, whatever went over the wire.
            #expect(proxy.intents.count == 2)
        }
        await server.stop()
        return Story(seen: seen.all, answer: answers.all.joined(), outcomes: outcomes.all)
    }

    @Test("what may have changed something is not sent again", arguments: ["PUT", "DELETE", "POST", "PATCH"])
    func notRepeated(method: String) async throws {
        let body = try await story(method, fields: "Content-Length: 4\r\n", body: "data")
        #expect(body.seen == ["GET", method] && body.answer.hasPrefix("HTTP/1.1 502 "))
        let empty = try await story(method)
        #expect(empty.seen == ["GET", method] && empty.answer.hasPrefix("HTTP/1.1 502 "))
    }

    @Test("a GET with a body is not sent again")
    func notRepeatedWithBody() async throws {
        let story = try await story("GET", fields: "Content-Length: 4\r\n", body: "data")
        #expect(story.seen == ["GET", "GET"] && story.answer.hasPrefix("HTTP/1.1 502 "))
    }

    @Test("what changes nothing is sent again, and counted again", arguments: ["GET", "OPTIONS"])
    func repeated(method: String) async throws {
        let story = try await story(method)
        #expect(story.seen == ["GET", method, method] && story.answer.hasSuffix("ok"))
        let (first, second) = (try #require(story.outcomes.first), try #require(story.outcomes.last))
        #expect(second.failure == nil && second.sent > first.sent * 3 / 2)
    }

    @Test("what cannot be repeated goes over no connection that has been idle: servers close those")
    func freshness() async throws {
        let server = try await RawServer.start { stream in _ = try await stream.read() }
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.autoRead, value: false).connect(host: "127.0.0.1", port: server.port).get()
        var connection = UpstreamConnection(
            destination: try Authority("kept.test:80"), encrypted: false, address: nil, reader: MessageReader(try await .attach(to: channel)))
        let now = NIODeadline.now()
        let time = TimeAmount.milliseconds(Int64(EgressConfiguration.Limits().freshMilliseconds))
        #expect(connection.isFresh(within: time, at: now + .hours(1)) && !connection.isUsed)
        connection.answered = now
        #expect(
            connection.isFresh(within: time, at: now + .seconds(1)) && !connection.isFresh(within: time, at: now + .seconds(2)) && connection.isUsed)
        connection.stream.close()
        await server.stop()
    }

    @Test("a budget that has room for one more request has none for its repetition")
    func repeatedOverBudget() async throws {
        let one = try #require(try await story("GET").outcomes.first).sent
        let story = try await story("GET", budget: one * 5 / 2)
        #expect(story.seen == ["GET", "GET"] && story.answer.hasPrefix("HTTP/1.1 403 ") && story.answer.contains("budget"))
    }
}

/// Outcomes that leave a closure.
private final class OutcomeBox: Sendable {
    private let outcomes = Mutex<[EgressOutcome]>([])

    var all: [EgressOutcome] { outcomes.withLock { $0 } }

    func set(_ new: [EgressOutcome]) { outcomes.withLock { $0 = new } }
}
