import ManagedAgentsAPI
import PosternCore
@testable import PosternStore
import PosternTestKit
import Testing

/// What must not grow with the size of a table is held against SQLite's own plan.
@Suite struct QueryPlanTests {
    private func plan(_ statement: SQLStatement, _ store: PosternStore) async throws -> [String] {
        try await store.database.rows(SQLStatement("EXPLAIN QUERY PLAN " + statement.sql, statement.values)).compactMap { row in
            guard case .text(let text)? = row.values.last else { return nil }
            return text
        }
    }

    private func expectSeeks(_ statement: SQLStatement, _ store: PosternStore) async throws {
        let plan = try await plan(statement, store)
        #expect(!plan.isEmpty)
        for line in plan { #expect(line.hasPrefix("SEARCH"), "\(line) in \(statement.sql)") }
    }

    private let position = PagePosition(major: 1, minor: "5")

    @Test func queueLookUpsSeek() async throws {
        try await withStore { store in
            for worker in [nil, "w"] {
                try await expectSeeks(WorkTable.queued(environment: "env_1", worker: worker, reclaimBefore: nil), store)
                // Sorting is for the few items that were handed out too long ago.
                let reclaimed = try await plan(WorkTable.queued(environment: "env_1", worker: worker, reclaimBefore: .now()), store)
                #expect(reclaimed.first?.contains("polled_at<?") == true, "\(reclaimed)")
            }
        }
    }

    @Test func pagesSeek() async throws {
        try await withStore { store in
            for order in [SortOrder.ascending, .descending] {
                for from in [nil, position] {
                    let keyset = Keyset(order: order, from: from, limit: 10)
                    try await expectSeeks(EventTable.processed(session: "s", EventFilter(), after: from.map { _ in 5 }, keyset), store)
                    var filter = SessionFilter(workspaceID: "w")
                    try await expectSeeks(SessionTable.list(filter, keyset), store)
                    filter.agentID = "a"
                    try await expectSeeks(SessionTable.list(filter, keyset), store)
                    #expect(try await plan(SessionTable.list(filter, keyset), store).first?.contains("sessions_by_agent") == true)
                }
            }
        }
    }

    @Test func tunnelsSeek() async throws {
        try await withStore { store in
            for from in [nil, position] {
                for archived in [false, true] {
                    let list = TunnelTable.list("w", includeArchived: archived, Keyset(order: .descending, from: from, limit: 10))
                    try await expectSeeks(list, store)
                    #expect(try await plan(list, store).first?.contains("tunnels_by_time") == true)
                }
            }
            try await expectSeeks(
                SQLStatement("SELECT COUNT(*) FROM tunnels WHERE workspace_id = ? AND archived_at IS NULL", [.text("w")]), store)
        }
    }

    /// What is counted lies in an index of its own; no plan walks a table or an index of everything.
    @Test func figuresStayInsideSmallIndexes() async throws {
        try await withStore { store in
            let plan = try await plan(Figures.statement, store).filter {
                $0.contains("SCAN ") && !$0.contains("CONSTANT ROW") || $0.contains("SEARCH ")
            }
            #expect(plan.count == 6, "\(plan)")
            let small = ["work_items_queued", "work_items_leased", "work_items_of_key", "sessions_of_environment", "sessions_unfinished"]
            for line in plan { #expect(small.contains { line.contains("INDEX \($0)") }, "\(line)") }
        }
    }

    @Test func aSettlementSeeks() async throws {
        try await withStore { store in
            try await expectSeeks(SessionTable.advance(StoreFixtures.settlement("s", after: 1, [])), store)
            try await expectSeeks(WorkTable.update(StoreFixtures.work("s")), store)
            try await expectSeeks(SQLStatement("DELETE FROM waiting_events WHERE session_id = ? AND event_id = ?", [.text("s"), .text("e")]), store)
        }
    }

    /// The first and the last page of a long log cost what the first of a short one costs, in rows that SQLite touches: the keyset
    /// starts inside the primary key.
    @Test func aLongLogPagesFromItsKey() async throws {
        try await withStore { store in
            try await store.create(StoreFixtures.session("s"), rows: [], work: StoreFixtures.work("s"))
            for start in stride(from: 0, to: 10_000, by: 1000) {
                let rows = (start + 1...start + 1000).map { StoreFixtures.row($0, bytes: 20) }
                try await store.settle(StoreFixtures.settlement("s", after: start, rows))
            }
            let pages = try await store.events(
                session: "s", filter: EventFilter(), order: .ascending, from: PagePosition(major: 0, minor: "9990"), limit: 100)
            #expect(pages.elements.map(\.sequence) == Array(9991...10_000))
            #expect(pages.next == nil)
            let newest = try await store.events(session: "s", filter: EventFilter(), order: .descending, from: nil, limit: 2)
            #expect(newest.elements.map(\.sequence) == [10_000, 9999])
        }
    }
}
