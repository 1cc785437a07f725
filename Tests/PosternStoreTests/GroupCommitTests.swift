import PosternCore
@testable import PosternStore
import PosternTestKit
import Synchronization
import Testing

@Suite struct GroupCommitTests {
    private typealias Make = StoreFixtures

    @Test func aCommitIsOnTheDiskWhenItReturns() async throws {
        try await withStore { store in
            let settings = try ["synchronous", "journal_mode", "foreign_keys"].map { try store.sqlite.writerSetting($0) }
            #expect(settings == ["2", "wal", "1"])
        }
    }

    /// Every second transaction breaks a guard or a constraint after it has written something.
    @Test func aTransactionThatFailsUndoesItselfOnly() async throws {
        try await withStore { store in
            let workspaces = 200
            let outcomes = await withTaskGroup(of: (Int, StoreError?).self) { group in
                for index in 0..<workspaces {
                    group.addTask {
                        var transaction = SQLTransaction()
                        let insert = "INSERT INTO workspaces (id, name, created_at) VALUES (?, ?, ?)"
                        transaction.run(SQLStatement(insert, [.text("w\(index)"), .text("name"), .integer(1)]))
                        switch index % 4 {
                        case 1: transaction.require(SQLStatement("UPDATE workspaces SET name = 'x' WHERE id = 'none'"))
                        case 3: transaction.run(SQLStatement(insert, [.text("w\(index)"), .text("again"), .integer(1)]))
                        default: break
                        }
                        do throws(StoreError) {
                            try await store.commit(transaction)
                            return (index, nil)
                        } catch {
                            return (index, error)
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for (index, error) in outcomes { #expect(error == (index % 2 == 1 ? .conflict : nil)) }
            let stored = Set(try await store.workspaces().map(\.id))
            #expect(stored == Set((0..<workspaces).filter { $0 % 2 == 0 }.map { "w\($0)" }))
        }
    }

    @Test func cancellingOneWaitingTaskHalvesNothingAndHarmsNobody() async throws {
        try await withStore { store in
            for index in 0..<32 {
                try await store.create(Make.session("sesn_\(index)"), rows: [], work: Make.work("sesn_\(index)"))
            }
            let tasks = (0..<32).map { index in
                Task { () -> Bool in
                    var work = Make.work("sesn_\(index)")
                    work.revision = 1
                    let rows = [Make.row(1), Make.row(2), Make.row(3)]
                    return await ((try? store.settle(Make.settlement("sesn_\(index)", after: 0, rows, work: work))) != nil)
                }
            }
            for task in tasks.indices where task % 2 == 0 { tasks[task].cancel() }
            for (index, task) in tasks.enumerated() {
                let isDone = await task.value
                #expect(isDone)
                #expect(try await store.rows(session: "sesn_\(index)", after: 0, limit: 9).count == 3)
                #expect(try await store.work("sesn_\(index)")?.revision == 1)
            }
            #expect(try await store.check() == [])
        }
    }

    @Test func readersDoNotWaitForAWriterAndSeeWhatWasCommitted() async throws {
        try await withStore { store in
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for index in 0..<200 {
                        try await store.settle(Make.settlement("sesn_1", after: index, [Make.row(index + 1)]))
                        let count = try await store.rows(session: "sesn_1", after: 0, limit: 1000).count
                        #expect(count == index + 1)
                    }
                }
                for _ in 0..<3 {
                    group.addTask {
                        var seen = 0
                        while seen < 200 {
                            let rows = try await store.rows(session: "sesn_1", after: 0, limit: 1000)
                            #expect(rows.count >= seen)
                            #expect(rows.map(\.sequence) == Array(0..<rows.count).map { $0 + 1 })
                            seen = rows.count
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func twoStoresOnOneFileKeepEachOthersGuards() async throws {
        try await withFolder { folder in
            let first = try await PosternStore.open(path: folder + "/postern.db")
            let second = try await PosternStore.open(path: folder + "/postern.db")
            defer {
                try? first.close()
                try? second.close()
            }
            try await first.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            let wins = await withTaskGroup(of: Int.self) { group in
                for (name, store) in [("first", first), ("second", second)] {
                    group.addTask {
                        var wins = 0
                        for index in 0..<50 {
                            let settlement = Make.settlement("sesn_1", after: index, [Make.row(index + 1, "\(name)\(index)")])
                            if (try? await store.settle(settlement)) != nil { wins += 1 }
                            // Whoever lost goes on when the other's row is there.
                            while (try? await store.session("sesn_1")?.lastSequence) ?? 0 < index + 1 { await Task.yield() }
                        }
                        return wins
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(wins == 50)
            #expect(try await first.check() == [])
        }
    }

    @Test func aClosedStoreSaysSo() async throws {
        try await withFolder { folder in
            let store = try await PosternStore.open(path: folder + "/postern.db")
            try store.close()
            await #expect(throws: StoreError.self) { try await store.session("sesn_1") }
            await #expect(throws: StoreError.self) { try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1")) }
        }
    }

    @Test func anObserverIsToldOfEachCommitAndFailure() async throws {
        let told = Mutex((commits: [[Duration]](), failures: [SQLFailure]()))
        let observer = StoreObserver(
            committed: { durations in told.withLock { $0.commits.append(durations) } },
            failed: { failure in told.withLock { $0.failures.append(failure) } })
        try await withFolder { folder in
            let store = try await PosternStore.open(path: folder + "/postern.db", observer: observer)
            let before = told.withLock { $0.commits.flatMap { $0 }.count }
            await withTaskGroup { group in
                for index in 0..<40 {
                    group.addTask { try? await store.create(Make.session("sesn_\(index)"), rows: [], work: Make.work("sesn_\(index)")) }
                }
            }
            await #expect(throws: StoreError.conflict) { try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1")) }
            try store.close()
            _ = try? await store.session("sesn_1")
            told.withLock { told in
                #expect(told.commits.flatMap { $0 }.count == before + 40 && told.commits.allSatisfy { !$0.isEmpty })
                #expect(told.commits.flatMap { $0 }.allSatisfy { $0 > .zero })
                #expect(told.failures.count == 2, "the conflict, and the read of a closed database: \(told.failures)")
            }
        }
    }
}
