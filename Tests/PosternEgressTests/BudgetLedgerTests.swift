import PosternPolicy
import Testing

@testable import PosternEgress

@Suite("Byte budgets of egress")
struct BudgetLedgerTests {
    private func host(_ name: String) throws -> CanonicalHost { try CanonicalHost(name) }

    @Test("each budget stops by itself and nothing is counted for what it stops")
    func each() throws {
        let cases: [(ByteBudgets, BudgetLedger.Kind)] = [
            (ByteBudgets(call: 10), .call), (ByteBudgets(host: 10), .host), (ByteBudgets(session: 10), .session), (ByteBudgets(day: 10), .day),
        ]
        for (budgets, kind) in cases {
            var ledger = BudgetLedger(budgets)
            var call = BudgetLedger.Call(host: try host("a.com"))
            try ledger.take(6, &call)
            let overrun = #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(5, &call) }
            #expect(overrun?.kind == kind && overrun?.limit == 10 && overrun?.used == 6)
            try ledger.take(4, &call)
            #expect(ledger.session == 10 && call.sent == 10)
            ledger.grant(3, for: .init(kind: kind, host: call.host))
            try ledger.take(3, &call)
            #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &call) }
        }
    }

    @Test("hosts are counted apart, a session over all of them")
    func hosts() throws {
        var ledger = BudgetLedger(ByteBudgets(host: 5, session: 8))
        var (one, other) = (BudgetLedger.Call(host: try host("a.com")), BudgetLedger.Call(host: try host("b.com")))
        try ledger.take(5, &one)
        try ledger.take(3, &other)
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &one) }
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &other) }
    }

    @Test("made-up subdomains without end share one count")
    func madeUp() throws {
        var ledger = BudgetLedger(ByteBudgets(host: 10))
        var stopped = 0
        for index in 0..<5000 {
            var call = BudgetLedger.Call(host: try host("h\(index).a.com"))
            do { try ledger.take(1, &call) } catch { stopped += 1 }
        }
        #expect(stopped == 5000 - 4096 - 10)
    }

    @Test("a session and its hosts go on from what proxies before have sent")
    func resumed() throws {
        var used = BytesUsed(session: 6)
        used.hosts = [try host("a.com"): 4]
        var ledger = BudgetLedger(ByteBudgets(host: 5, session: 8), used: used)
        var (one, other) = (BudgetLedger.Call(host: try host("a.com")), BudgetLedger.Call(host: try host("b.com")))
        #expect(#expect(throws: BudgetLedger.Overrun.self) { try ledger.take(2, &one) }?.kind == .host)
        try ledger.take(1, &one)
        #expect(#expect(throws: BudgetLedger.Overrun.self) { try ledger.take(2, &other) }?.kind == .session)
        try ledger.take(1, &other)
    }

    @Test("after hosts that shared a count, a new host begins with theirs")
    func resumedTogether() throws {
        var used = BytesUsed(session: 9)
        used.hosts = [try host("a.com"): 1]
        used.otherHosts = 8
        var ledger = BudgetLedger(ByteBudgets(host: 10), used: used)
        var (known, new) = (BudgetLedger.Call(host: try host("a.com")), BudgetLedger.Call(host: try host("new.com")))
        try ledger.take(9, &known)
        try ledger.take(2, &new)
        var another = BudgetLedger.Call(host: try host("another.com"))
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &another) }
    }

    @Test("a day goes on from what was used before, and begins anew")
    func day() throws {
        var ledger = BudgetLedger(ByteBudgets(day: 10), used: BytesUsed(day: 8))
        var call = BudgetLedger.Call(host: try host("a.com"))
        try ledger.take(2, &call)
        #expect(throws: BudgetLedger.Overrun.self) { try ledger.take(1, &call) }
        ledger.setDay(used: 0)
        try ledger.take(10, &call)
    }
}
