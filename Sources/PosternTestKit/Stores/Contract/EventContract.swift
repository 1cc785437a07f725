import ManagedAgentsAPI
import PosternCore

extension StoreContract {
    private typealias Make = StoreFixtures

    /// A log with every view: 1 and 4 and 7 received, 5 processes 1, 3 and 8 hidden, 4 and 7 still waiting.
    private static let mixed = [
        Make.row(1, "u1", view: .received, type: "user.message"), Make.row(2, "s2", type: "session.status_running"),
        Make.row(3, "h3", view: .hidden, type: "model"), Make.row(4, "u4", view: .received, type: "user.message"),
        Make.row(5, "u1", type: "user.message"), Make.row(6, "a6"), Make.row(7, "u7", view: .received, type: "user.interrupt"),
        Make.row(8, "h8", view: .hidden, type: "model"), Make.row(9, "a9"),
    ]

    private static func fill(_ store: any Store, _ rows: [EventRow]) async throws {
        try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
        for (index, row) in rows.enumerated() { try await store.settle(Make.settlement("sesn_1", after: index, [row])) }
    }

    static let eventCases: [Case] = [
        Case("rows come in log order with every view") { store in
            try await fill(store, mixed)
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 99), mixed)
            try equal(try await store.rows(session: "sesn_1", after: 6, limit: 2), Array(mixed[6...7]))
            try expect(try await store.rows(session: "sesn_1", after: 9, limit: 2).isEmpty, "rows after the last one")
            try expect(try await store.rows(session: "sesn_2", after: 0, limit: 2).isEmpty, "rows of an unknown session")
        },
        Case("bytes come back as they are, whatever their size") { store in
            let sizes = [0, 1, 5000, 300_000]
            var rows = sizes.enumerated().map { Make.row($0.offset + 1, bytes: $0.element) }
            rows[0].bytes = [0, 255, 10]
            try await fill(store, rows)
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 9), rows)
        },
        Case("what one read brings is bounded in bytes, and nothing is missed for it") { store in
            let half = ReadLimit.pageBytes / 2
            try await fill(store, [half, half, half, 3 * half, 10].enumerated().map { Make.row($0.offset + 1, bytes: $0.element) })
            for (order, expected) in [(SortOrder.ascending, [[1, 2], [3, 4], [5]]), (.descending, [[5, 4], [3, 2], [1]])] {
                let list = { (from: PagePosition?) in
                    try await store.events(session: "sesn_1", filter: EventFilter(), order: order, from: from, limit: 9)
                }
                var pages = [try await list(nil)]
                while let next = pages[pages.count - 1].next { pages.append(try await list(next)) }
                try equal(pages.map { $0.elements.map(\.sequence) }, expected)
                // On the way back pages may be cut elsewhere; nothing is missed or doubled.
                var (back, page) = (pages[pages.count - 1].elements.map(\.sequence), pages[pages.count - 1])
                while let previous = page.previous {
                    page = try await list(previous)
                    back = page.elements.map(\.sequence) + back
                }
                try equal(back, expected.flatMap { $0 })
            }
            let limit = ReadLimit(rows: 9)
            let first = try await store.rows(session: "sesn_1", after: 0, limit: limit)
            try equal(first.map(\.sequence), [1, 2])
            try expect(limit.isReached(by: first), "a read that was cut says that there may be more")
            let last = try await store.rows(session: "sesn_1", after: 4, limit: limit)
            try equal(last.map(\.sequence), [5])
            try expect(!limit.isReached(by: last), "a read to the end says so")
        },
        Case("the list shows the newest row per event: processed ones, then waiting ones") { store in
            try await fill(store, mixed)
            let expected = [2, 5, 6, 9, 4, 7]
            for limit in 1...8 {
                for order in [SortOrder.ascending, .descending] {
                    let pages = try await walk { from in
                        try await store.events(session: "sesn_1", filter: EventFilter(), order: order, from: from, limit: limit)
                    }
                    try equal(pages.flatMap { $0 }.map(\.sequence), order == .ascending ? expected : expected.reversed())
                    try equal(pages.count, (6 + limit - 1) / limit)
                }
            }
        },
        Case("events are filtered by type and by time") { store in
            try await fill(store, mixed)
            func found(_ types: Set<String>, _ range: TimeRange = TimeRange(), _ order: SortOrder = .ascending) async throws -> [Int] {
                try await walk { from in
                    try await store.events(
                        session: "sesn_1", filter: EventFilter(types: types, processedAt: range), order: order, from: from, limit: 2)
                }.flatMap { $0 }.map(\.sequence)
            }
            try equal(try await found(["user.message"]), [5, 4])
            try equal(try await found(["user.message", "user.interrupt"]), [5, 4, 7])
            try equal(try await found(["agent.message"], TimeRange(), .descending), [9, 6])
            try equal(try await found([], TimeRange(atOrAfter: Make.time(5))), [5, 6, 9])
            try equal(try await found([], TimeRange(after: Make.time(2), before: Make.time(9)), .descending), [6, 5])
            try equal(try await found(["model"]), [])
        },
        Case("a received and a processed row may come in one settlement") { store in
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            let rows = [Make.row(1, "u", view: .received), Make.row(2, "u"), Make.row(3, "v", view: .received)]
            try await store.settle(Make.settlement("sesn_1", after: 0, rows))
            let page = try await store.events(session: "sesn_1", filter: EventFilter(), order: .ascending, from: nil, limit: 9)
            try equal(page.elements.map(\.sequence), [2, 3])
        },
    ]
}
