import ManagedAgentsAPI
import Synchronization
import Testing

@testable import PosternCore

/// Reads of an item that come back late, in every order with what ends its lease meanwhile.
@Suite("Recently seen work") struct RecentWorkTests {
    private let start = Timestamp(microseconds: 1_000_000)
    private func at(_ milliseconds: Int) -> Timestamp { start.advanced(by: .milliseconds(milliseconds)) }

    private func item(_ revision: Int, _ state: WorkRecord.State = .active, token: [UInt8]? = [7], session: String = "sesn_1") -> WorkRecord {
        WorkRecord(
            sessionID: session, environmentID: "env_1", workspaceID: "w", state: state, createdAt: start, queuedAt: start, tokenHash: token,
            revision: revision)
    }

    @Test("A lease is answered for a second after the begin of the read, by session and by token") func life() {
        let recent = RecentWork()
        #expect(recent.note(item(5), asOf: at(0), now: at(300)))
        #expect(recent.record(session: "sesn_1", now: at(999)) == item(5))
        #expect(recent.record(tokenHash: [7], now: at(999)) == item(5))
        #expect(recent.record(tokenHash: [8], now: at(999)) == nil)
        #expect(recent.record(session: "sesn_1", now: at(1000)) == nil && recent.record(tokenHash: [7], now: at(1000)) == nil)
    }

    @Test("A read that was under way when the lease ended is turned away", arguments: [WorkRecord.State.queued, .stopped])
    func ended(state: WorkRecord.State) {
        let recent = RecentWork()
        recent.note(item(4), asOf: at(0), now: at(0))
        // The read of revision 5 begins at 10; revision 6 is stored and noted at 20; the read comes back at 30.
        recent.note(item(6, state, token: nil), asOf: at(15), now: at(20))
        #expect(!recent.note(item(5), asOf: at(10), now: at(30)))
        #expect(recent.record(session: "sesn_1", now: at(30)) == nil && recent.record(tokenHash: [7], now: at(30)) == nil)
    }

    @Test("The read that comes back first is replaced by the end of the lease") func readFirst() {
        let recent = RecentWork()
        recent.note(item(5), asOf: at(10), now: at(15))
        recent.note(item(6, .queued, token: nil), asOf: at(12), now: at(20))
        #expect(recent.record(session: "sesn_1", now: at(21)) == nil && recent.record(tokenHash: [7], now: at(21)) == nil)
    }

    @Test("The next lease is answered, the one before it is not") func nextLease() {
        let recent = RecentWork()
        recent.note(item(6, .queued, token: nil), asOf: at(0), now: at(0))
        #expect(recent.note(item(7, .starting, token: [9]), asOf: at(5), now: at(6)))
        #expect(!recent.note(item(5), asOf: at(0), now: at(7)))
        #expect(recent.record(tokenHash: [9], now: at(8))?.revision == 7 && recent.record(tokenHash: [7], now: at(8)) == nil)
    }

    @Test("A read that outlasts the trace is too old to be answered") func slowRead() {
        let recent = RecentWork()
        recent.note(item(6, .queued, token: nil), asOf: at(15), now: at(20))
        // Another item's note drops the trace; the read began before the lease ended.
        recent.note(item(1, session: "sesn_2"), asOf: at(1500), now: at(1500))
        recent.note(item(5), asOf: at(10), now: at(1501))
        #expect(recent.record(session: "sesn_1", now: at(1501)) == nil && recent.record(tokenHash: [7], now: at(1501)) == nil)
    }

    @Test("A write that stood still after its commit does not bring a lease back") func slowWrite() {
        let recent = RecentWork()
        recent.note(item(6, .queued, token: nil), asOf: at(20), now: at(25))
        recent.note(item(1, session: "sesn_2"), asOf: at(1100), now: at(1100))
        recent.note(item(5), asOf: at(0), now: at(1101))
        #expect(recent.record(session: "sesn_1", now: at(1101)) == nil)
    }

    @Test("A trace is dropped after a second, and not before") func bounded() {
        let recent = RecentWork()
        for index in 0..<100 { recent.note(item(1, .queued, token: nil, session: "sesn_\(index)"), asOf: at(0), now: at(0)) }
        recent.note(item(1, session: "other"), asOf: at(999), now: at(999))
        #expect(recent.count == 101)
        recent.note(item(1, session: "other"), asOf: at(1000), now: at(1000))
        #expect(recent.count == 1)
        for index in 0..<100 { recent.forget(session: "sesn_\(index)", below: .max, now: at(1001)) }
        recent.forget(session: "other", now: at(2100))
        #expect(recent.count == 1)
    }

    // MARK: Forgetting

    @Test("Of a deleted session nothing is believed") func deleted() {
        let recent = RecentWork()
        recent.note(item(5), asOf: at(0), now: at(0))
        recent.forget(session: "sesn_1", below: .max, now: at(20))
        #expect(recent.record(session: "sesn_1", now: at(20)) == nil && recent.record(tokenHash: [7], now: at(20)) == nil)
        #expect(!recent.note(item(5), asOf: at(10), now: at(30)) && !recent.note(item(6), asOf: at(10), now: at(30)))
        // A write of the same time that finds the session gone does not lower the bar.
        recent.forget(session: "sesn_1", below: 6, now: at(40))
        #expect(!recent.note(item(6), asOf: at(10), now: at(50)))
        #expect(recent.record(session: "sesn_1", now: at(50)) == nil)
    }

    @Test("After a lost race to write, only the winner's revision is believed") func conflict() {
        let recent = RecentWork()
        recent.note(item(5), asOf: at(0), now: at(0))
        recent.forget(session: "sesn_1", below: 6, now: at(20))
        #expect(!recent.note(item(5), asOf: at(10), now: at(30)))
        #expect(recent.record(session: "sesn_1", now: at(30)) == nil)
        #expect(recent.note(item(6, token: [9]), asOf: at(31), now: at(32)))
        #expect(recent.record(tokenHash: [9], now: at(33))?.revision == 6)
    }

    @Test("What is known when it is forgotten is the bar") func known() {
        let recent = RecentWork()
        recent.note(item(5), asOf: at(0), now: at(0))
        recent.forget(session: "sesn_1", now: at(20))
        #expect(!recent.note(item(4), asOf: at(10), now: at(30)))
        #expect(recent.note(item(5), asOf: at(21), now: at(30)))
    }

    // MARK: Reading through

    @Test("A read that was overtaken is done once more, and its caller sees the newer item") func overtaken() async throws {
        let recent = RecentWork()
        let reads = Mutex(0)
        let found = try await recent.noting(clock: { at(reads.withLock { $0 }) }) { () async throws(StoreError) in
            guard
                reads.withLock({
                    $0 += 1; return $0
                }) == 1
            else { return item(6, .queued, token: nil) }
            recent.note(item(6, .queued, token: nil), asOf: at(0), now: at(1))
            return item(5)
        }
        #expect(found?.revision == 6 && found?.isLeased == false && reads.withLock { $0 } == 2)
        #expect(recent.record(session: "sesn_1", now: at(3)) == nil)
    }

    @Test("A read that was overtaken by the session's deletion finds nothing") func overtakenByDeletion() async throws {
        let recent = RecentWork()
        let reads = Mutex(0)
        let found = try await recent.noting(clock: { at(0) }) { () async throws(StoreError) in
            guard
                reads.withLock({
                    $0 += 1; return $0
                }) == 1
            else { return nil }
            recent.forget(session: "sesn_1", below: .max, now: at(0))
            return item(5)
        }
        #expect(found == nil && recent.record(session: "sesn_1", now: at(0)) == nil)
    }

    @Test("A read that nothing overtook is done once and kept") func undisturbed() async throws {
        let recent = RecentWork()
        let reads = Mutex(0)
        let found = try await recent.noting(clock: { at(0) }) { () async throws(StoreError) in
            reads.withLock { $0 += 1 }
            return item(5)
        }
        #expect(found?.revision == 5 && reads.withLock { $0 } == 1 && recent.record(tokenHash: [7], now: at(1))?.revision == 5)
    }
}
