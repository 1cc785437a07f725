import ManagedAgentsAPI
import PosternCore
import PosternJSON

extension StoreContract {
    private typealias Make = StoreFixtures

    static let sessionCases: [Case] = [
        Case("a new session is found whole") { store in
            var session = Make.session("sesn_1", rows: 2)
            session.usage = SessionUsage(
                tokens: ModelUsage(input: 1, output: 2, cacheRead: 3, cacheCreation5m: 4, cacheCreation1h: 5), activeMicroseconds: 6)
            session.title = nil
            session.createdBy = "apikey_1"
            session.metadata = ["b": "1", "a": .string("ü\u{0}\"")]
            let rows = [Make.row(1, view: .received), Make.row(2)]
            try await store.create(session, rows: rows, work: Make.work("sesn_1"))
            try equal(try await store.session("sesn_1"), session)
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 10), rows)
            try equal(try await store.work("sesn_1"), Make.work("sesn_1"))
            try expect(try await store.session("sesn_2") == nil, "an unknown session is found")
        },
        Case("the order of keys survives") { store in
            var session = Make.session("sesn_1")
            session.agent = ["z": 1, "a": ["y": .bigNumber("1e400"), "b": .null]]
            try await store.create(session, rows: [], work: Make.work("sesn_1"))
            try equal(try await store.session("sesn_1").map { JSON.object($0.agent).text }, JSON.object(session.agent).text)
        },
        Case("an id is taken once, and nothing of the second is kept") { store in
            try await store.create(Make.session("sesn_1", rows: 1), rows: [Make.row(1)], work: Make.work("sesn_1"))
            try await refused(.conflict) { () async throws(StoreError) in
                try await store.create(Make.session("sesn_1", rows: 1), rows: [Make.row(1, "other")], work: Make.work("sesn_1"))
            }
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 9).map(\.eventID), ["sevt_1"])
        },
        Case("a settlement changes what it names and nothing else") { store in
            let session = Make.session("sesn_1")
            try await store.create(session, rows: [], work: Make.work("sesn_1"))
            try await store.settle(Make.settlement("sesn_1", after: 0, [Make.row(1), Make.row(2)]))
            var expected = session
            expected.status = .running
            expected.lastSequence = 2
            expected.usage = SessionUsage(tokens: ModelUsage(input: 0, output: 2), activeMicroseconds: 3)
            expected.updatedAt = Make.time(0)
            try equal(try await store.session("sesn_1"), expected)

            var settlement = Make.settlement("sesn_1", after: 2, [])
            settlement.title = .some(nil)
            settlement.metadata = ["k": "v"]
            settlement.agent = ["id": "agent_2"]
            settlement.archivedAt = Make.time(9)
            settlement.status = .terminated
            try await store.settle(settlement)
            let found = try await store.session("sesn_1")
            try equal(found?.title, nil)
            try equal(found?.metadata, ["k": "v"])
            try equal(found?.agent, ["id": "agent_2"])
            try equal(found?.archivedAt, Make.time(9))
            try equal(found?.status, .terminated)
            try equal(found?.lastSequence, 2)
        },
        Case("a settlement that was decided on another log changes nothing") { store in
            try await store.create(Make.session("sesn_1", rows: 1), rows: [Make.row(1)], work: Make.work("sesn_1"))
            let before = try await store.session("sesn_1")
            for settlement in [
                Make.settlement("sesn_1", after: 0, [Make.row(1, "a")]), Make.settlement("sesn_1", after: 2, [Make.row(3, "b")]),
                Make.settlement("sesn_1", after: 1, [Make.row(3, "gap")]), Make.settlement("sesn_2", after: 0, [Make.row(1, "c")]),
            ] {
                try await refused(.conflict) { () async throws(StoreError) in try await store.settle(settlement) }
            }
            try equal(try await store.session("sesn_1"), before)
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 9), [Make.row(1)])
        },
        Case("a settlement that comes late to the work item changes nothing") { store in
            let session = Make.session("sesn_1")
            try await store.create(session, rows: [], work: Make.work("sesn_1"))
            var work = Make.work("sesn_1")
            work.revision = 2
            var settlement = Make.settlement("sesn_1", after: 0, [Make.row(1)], work: work)
            settlement.title = "never"
            settlement.metadata = [:]
            try await refused(.conflict) { [settlement] () async throws(StoreError) in try await store.settle(settlement) }
            try equal(try await store.session("sesn_1"), session)
            try expect(try await store.rows(session: "sesn_1", after: 0, limit: 9).isEmpty, "rows of a refused settlement are there")
            work.revision = 1
            work.state = .stopped
            settlement.work = work
            try await store.settle(settlement)
            try equal(try await store.work("sesn_1"), work)
            try equal(try await store.session("sesn_1")?.title, "never")
        },
        Case("of settlements at once on one log, one wins") { store in
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            for round in 0..<20 {
                let wins = await withTaskGroup(of: Int.self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            do throws(StoreError) {
                                try await store.settle(Make.settlement("sesn_1", after: round, [Make.row(round + 1, "w\(writer)r\(round)")]))
                                return 1
                            } catch {
                                return error == .conflict ? 0 : 100
                            }
                        }
                    }
                    return await group.reduce(0, +)
                }
                try equal(wins, 1)
            }
            try equal(try await store.rows(session: "sesn_1", after: 0, limit: 99).map(\.sequence), Array(1...20))
        },
        Case("a deleted session leaves nothing") { store in
            try await store.create(Make.session("sesn_1", rows: 1), rows: [Make.row(1, view: .received)], work: Make.work("sesn_1"))
            try await store.create(Make.session("sesn_2", rows: 1), rows: [Make.row(1)], work: Make.work("sesn_2"))
            try expect(try await store.deleteSession("sesn_1"), "not deleted")
            try expect(!(try await store.deleteSession("sesn_1")), "deleted twice")
            try expect(try await store.session("sesn_1") == nil, "still there")
            try expect(try await store.work("sesn_1") == nil, "its work item is there")
            try expect(try await store.rows(session: "sesn_1", after: 0, limit: 9).isEmpty, "its log is there")
            try equal(try await store.rows(session: "sesn_2", after: 0, limit: 9).count, 1)
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            try expect(
                try await store.events(session: "sesn_1", filter: EventFilter(), order: .ascending, from: nil, limit: 9).elements.isEmpty,
                "the new session has the old one's events")
        },
        Case("unfinished sessions are those that run or wait to") { store in
            for (index, status) in SessionRecord.Status.allCases.enumerated() {
                try await store.create(Make.session("sesn_\(index)", status: status), rows: [], work: Make.work("sesn_\(index)"))
            }
            try equal(try await store.unfinishedSessions(), ["sesn_1", "sesn_2"])
        },
    ]

    static let listCases: [Case] = [
        Case("sessions page both ways in both orders, with equal times") { store in
            for index in 10..<20 {
                let id = "sesn_\(index)"
                try await store.create(Make.session(id, at: index / 3), rows: [], work: Make.work(id))
            }
            try await store.create(Make.session("sesn_x", workspace: "other"), rows: [], work: Make.work("sesn_x"))
            for order in [SortOrder.ascending, .descending] {
                for limit in [1, 3, 5, 10, 50] {
                    let pages = try await walk { from in
                        try await store.sessions(SessionFilter(workspaceID: "wrkspc_1"), order: order, from: from, limit: limit)
                    }
                    let ids = (10..<20).map { "sesn_\($0)" }
                    try equal(pages.flatMap { $0 }.map(\.id), order == .ascending ? ids : ids.reversed())
                    try equal(pages.count, (10 + limit - 1) / limit)
                }
            }
        },
        Case("sessions are filtered") { store in
            func create(_ session: SessionRecord) async throws {
                try await store.create(session, rows: [], work: Make.work(session.id))
            }
            try await create(Make.session("idle", at: 1))
            try await create(Make.session("running", agent: "agent_2", version: 1, status: .running, at: 2))
            try await create(Make.session("other", agent: "agent_2", version: 2, at: 3))
            try await create(Make.session("over", status: .terminated, at: 4))
            try await create(Make.session("archived", at: 5))
            var archive = Make.settlement("archived", after: 0, [])
            archive.status = .idle
            archive.archivedAt = Make.time(6)
            try await store.settle(archive)

            func found(_ change: (inout SessionFilter) -> Void) async throws -> [String] {
                var filter = SessionFilter(workspaceID: "wrkspc_1")
                change(&filter)
                return try await store.sessions(filter, order: .ascending, from: nil, limit: 50).elements.map(\.id)
            }
            try equal(try await found { _ in }, ["idle", "running", "other"])
            try equal(try await found { $0.includeArchived = true }, ["idle", "running", "other", "over", "archived"])
            try equal(try await found { $0.statuses = [.terminated] }, ["over"])
            try equal(try await found { $0.statuses = [.running, .idle] }, ["idle", "running", "other"])
            try equal(try await found { $0.agentID = "agent_2" }, ["running", "other"])
            try equal(try await found { ($0.agentID, $0.agentVersion) = ("agent_2", 2) }, ["other"])
            try equal(try await found { $0.agentVersion = 2 }, ["idle", "running", "other"])
            try equal(try await found { $0.createdAt = TimeRange(after: Make.time(1), atOrBefore: Make.time(3)) }, ["running", "other"])
            try equal(try await found { $0.createdAt = TimeRange(atOrAfter: Make.time(2), before: Make.time(3)) }, ["running"])
        },
    ]
}
