import NIOCore
import PosternJSON
import PosternPolicy
import Synchronization
import Testing

@testable import PosternEgress

/// What the perimeter grants beyond a budget: exactly what the question said, to the host that it named.
@Suite("Approvals of more bytes", .timeLimit(.minutes(1)))
struct ApprovalTests {
    private func host(_ name: String) throws -> CanonicalHost { try CanonicalHost(name) }

    @Test("an approval grants the policy's figure each time and never doubles", arguments: BudgetLedger.Kind.allCases)
    func figure(_ kind: BudgetLedger.Kind) throws {
        let budgets = ByteBudgets(
            call: kind == .call ? 10 : nil, host: kind == .host ? 10 : nil, session: kind == .session ? 10 : nil, day: kind == .day ? 10 : nil)
        var ledger = BudgetLedger(budgets)
        var call = BudgetLedger.Call(host: try host("a.com"))
        var sent = 0
        for _ in 0..<3 {
            while (try? ledger.take(1, &call)) != nil { sent += 1 }
            let overrun = #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &call) }
            #expect(overrun?.limit == 10 && overrun?.used == 10)
            ledger.grant(10, for: .init(kind: kind, host: call.host))
        }
        #expect(sent == 30 && call.sent == 30)
    }

    @Test("credit is for one host; another one cannot use it, and is not in its way")
    func oneHost() throws {
        var ledger = BudgetLedger(ByteBudgets(session: 10))
        var (one, other) = (BudgetLedger.Call(host: try host("a.com")), BudgetLedger.Call(host: try host("b.com")))
        try ledger.take(10, &one)
        ledger.grant(10, for: .init(kind: .session, host: one.host))
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &other) }
        try ledger.take(6, &one)
        ledger.grant(10, for: .init(kind: .session, host: other.host))
        try ledger.take(10, &other)
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &other) }
        try ledger.take(4, &one)
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &one) }
    }

    @Test("a policy that became narrower meanwhile bounds what is granted; a new day takes the day's credit away")
    func narrowed() throws {
        var ledger = BudgetLedger(ByteBudgets(day: 10))
        var call = BudgetLedger.Call(host: try host("a.com"))
        try ledger.take(10, &call)
        ledger.budgets.day = 3
        ledger.grant(10, for: .init(kind: .day, host: call.host))
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(4, &call) }
        try ledger.take(2, &call)
        ledger.setDay(used: 3)
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &call) }
    }

    @Test("calls that reach the same budget share one question; one that leaves does not withdraw it")
    func joined() async throws {
        let asks = OpenAsks()
        let account = BudgetLedger.Account(kind: .session, host: try host("a.com"))
        let asked = Mutex(0)
        let (gate, open) = AsyncStream<Bool>.makeStream()
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let ask: @Sendable () async throws -> Bool = {
            asked.withLock { $0 += 1 }
            begin.yield()
            return await gate.first { _ in true } ?? false
        }
        let first = Task { try await asks.answer(for: account, asking: ask) }
        _ = await begun.first { _ in true }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { try await asks.answer(for: account, asking: ask) } }
            // Another host is another question.
            let elsewhere = BudgetLedger.Account(kind: .session, host: try host("b.com"))
            #expect(try await asks.answer(for: elsewhere) { false } == false)
            while asks.waiting(for: account) < 8 { try await Task.sleep(for: .milliseconds(2)) }
            open.yield(true)
            for try await granted in group { #expect(granted) }
        }
        #expect(asked.withLock { $0 } == 1)
        asks.close()
        await #expect(throws: CancellationError.self) { try await asks.answer(for: account) { true } }
    }

    @Test("over the wire: parallel calls, one question, which says what an approval lets out; no more leaves than that")
    func wire() async throws {
        let server = try await TestServer.start()
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#, budgets: ByteBudgets(session: 2000, overrun: .ask))
        setup.names = ["api.test": ["127.0.0.1"]]
        let (gate, open) = AsyncStream<Void>.makeStream()
        setup.worker = { report in
            guard case .ask = report else { return }
            for await _ in gate { return }
        }
        try await ProxyFixture.run(setup) { proxy in
            @Sendable func send(_ size: Int) async throws -> String {
                let body = String(repeating: "y", count: size)
                return try await proxy.raw(
                    "POST http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Content-Length: \(size)\r\nConnection: close\r\n\r\n\(body)"
                )
            }
            #expect(try await send(1800).hasPrefix("HTTP/1.1 200 "))
            // One of the two fits into what is granted; the other one asks again and is refused.
            proxy.grant([2000, nil])
            async let one = send(1500)
            async let two = send(1500)
            await proxy.wait { $0.reports.contains { if case .ask = $0 { true } else { false } } }
            open.finish()
            let statuses = [try await one, try await two].map { String($0.prefix(12)) }.sorted()
            #expect(statuses == ["HTTP/1.1 200", "HTTP/1.1 403"])
            let asks = proxy.reports.compactMap { if case .ask(_, _, let ask) = $0 { ask } else { nil } }
            #expect(asks.count == 2 && asks.allSatisfy { $0.limit == 2000 })
            #expect(asks.first?.summary.hasSuffix("approving lets 2000 more bytes out to api.test") == true)
        }
        await server.stop()
    }

    @Test("what is left of a UTC day")
    func day() {
        #expect(UTCDay.rest(after: "2026-11-27T00:00:00Z") == .seconds(86_400))
        #expect(UTCDay.rest(after: "2026-11-27T23:59:59.999999Z") == .seconds(1))
        #expect(UTCDay.rest(after: "2026-11-27T12:30:15.5Z") == .seconds(41_385))
        #expect(UTCDay.rest(after: "2026-12-31T23:59:60Z") == .seconds(1))
        for text in ["", "2026-11-27", "2026-11-27T24:00:00Z", "2026-11-27T12:30:15+02:00", "2026-11-27Txx:00:00Z"] {
            #expect(UTCDay.rest(after: text) == nil)
        }
    }

    @Test("a new day reaches the proxy and gives its budget back")
    func newDay() async throws {
        let server = try await TestServer.start()
        let host = "api.test:\(server.port)"
        var setup = try ProxyFixture.Setup(#"[{"hosts":["\#(host)"]}]"#, budgets: ByteBudgets(day: 300))
        setup.names = ["api.test": ["127.0.0.1"]]
        try await ProxyFixture.run(setup) { proxy in
            let body = String(repeating: "y", count: 200)
            let request =
                "POST http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\(proxy.authorization)Content-Length: 200\r\nConnection: close\r\n\r\n\(body)"
            var answers = [try await proxy.raw(request), try await proxy.raw(request)]
            proxy.link.send(.day(session: "sesn_test", used: 0))
            answers.append(try await proxy.raw(request))
            proxy.link.send(.day(session: "sesn_test", used: 250))
            answers.append(try await proxy.raw(request))
            #expect(answers.map { $0.prefix(12) } == ["HTTP/1.1 200", "HTTP/1.1 403", "HTTP/1.1 200", "HTTP/1.1 403"])
        }
        await server.stop()
    }
}
