import PosternCore
@testable import PosternStore
import PosternTestKit
import Testing

@Suite struct DiskFullTests {
    private typealias Make = StoreFixtures

    /// Bounds the database's size, as a full disk would. In pages of 4096 bytes.
    private func bound(_ store: PosternStore, pages: Int) async throws {
        try await store.commit(SQLTransaction(SQLStatement("PRAGMA max_page_count = \(pages)")))
    }

    private func pages(_ store: PosternStore) throws -> Int { try Int(store.sqlite.writerSetting("page_count") ?? "") ?? 0 }

    @Test func aFullDiskIsSaidLosesNothingAndPasses() async throws {
        try await withStore { store in
            try await store.create(Make.session("sesn_1"), rows: [], work: Make.work("sesn_1"))
            try await bound(store, pages: pages(store) + 20)
            var stored = 0
            var refusal: StoreError?
            while refusal == nil {
                do throws(StoreError) {
                    try await store.settle(Make.settlement("sesn_1", after: stored, [Make.row(stored + 1, bytes: 3000)]))
                    stored += 1
                } catch {
                    refusal = error
                }
            }
            guard case .unavailable(let message) = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            #expect(message.contains("disk is full"))
            #expect(stored > 3)
            #expect(try await store.rows(session: "sesn_1", after: 0, limit: 999).count == stored)
            #expect(try await store.session("sesn_1")?.lastSequence == stored)

            try await bound(store, pages: 1_000_000)
            try await store.settle(Make.settlement("sesn_1", after: stored, [Make.row(stored + 1, bytes: 3000)]))
            #expect(try await store.check() == [])
        }
    }

    @Test func whatStillFitsIsWrittenBesideWhatDoesNot() async throws {
        try await withStore { store in
            for index in 0..<17 { try await store.create(Make.session("s\(index)"), rows: [], work: Make.work("s\(index)")) }
            try await bound(store, pages: pages(store) + 40)
            let outcomes = await withTaskGroup(of: (Int, StoreError?).self) { group in
                for index in 0..<17 {
                    group.addTask {
                        do throws(StoreError) {
                            let row = Make.row(1, "e\(index)", bytes: index == 8 ? 2_000_000 : 100)
                            try await store.settle(Make.settlement("s\(index)", after: 0, [row]))
                            return (index, nil)
                        } catch {
                            return (index, error)
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for (index, error) in outcomes {
                #expect((error != nil) == (index == 8), "\(index): \(String(describing: error))")
                #expect(try await store.rows(session: "s\(index)", after: 0, limit: 9).count == (index == 8 ? 0 : 1))
            }
        }
    }
}
