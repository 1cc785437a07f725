import ManagedAgentsAPI
import PosternCore
import PosternJSON

extension StoreContract {
    private typealias Make = StoreFixtures

    /// Stores a session with that work item.
    private static func add(
        _ store: any Store, _ id: String, environment: String = "env_1", at second: Int, _ change: (inout WorkRecord) -> Void = { _ in }
    ) async throws {
        var work = Make.work(id, environment: environment, at: second)
        change(&work)
        try await store.create(Make.session(id, environment: environment, at: second), rows: [], work: work)
    }

    static let workCases: [Case] = [
        Case("a work item is written whole, and guarded by its revision") { store in
            try await add(store, "sesn_1", at: 1)
            let work = WorkRecord(
                sessionID: "sesn_1", environmentID: "env_1", workspaceID: "wrkspc_1", state: .active, metadata: ["a": "b"],
                createdAt: Make.time(1), queuedAt: Make.time(2), polledAt: Make.time(3), acknowledgedAt: Make.time(4),
                stopRequestedAt: Make.time(5), stoppedAt: Make.time(6), heartbeatAt: Make.time(7), leaseExpiresAt: Make.time(8),
                leaseSeconds: 60, tokenHash: [1, 2, 3], workerID: "w", keyID: "k", revision: 1)
            try await store.update(work)
            try equal(try await store.work("sesn_1"), work)
            try equal(try await store.work(tokenHash: [1, 2, 3]), work)
            try expect(try await store.work(tokenHash: [1, 2]) == nil, "a token that nobody has is found")
            try await refused(.conflict) { () async throws(StoreError) in try await store.update(work) }
            var late = work
            late.revision = 3
            try await refused(.conflict) { [late] () async throws(StoreError) in try await store.update(late) }
            var unknown = work
            unknown.sessionID = "sesn_2"
            try await refused(.conflict) { [unknown] () async throws(StoreError) in try await store.update(unknown) }
            try equal(try await store.work("sesn_1"), work)
        },
        Case("the next item is the oldest that is free, the worker's own first") { (store: any Store) async throws in
            let now = Make.time(100)
            func next(_ worker: String?, _ environment: String = "env_1", reclaimBefore: Timestamp = Make.time(0)) async throws -> String? {
                let item = try await store.nextQueued(environmentID: environment, workerID: worker, reclaimBefore: reclaimBefore)
                return item?.sessionID
            }
            try expect(try await next(nil) == nil, "an item in an empty queue")
            try await add(store, "c", at: 3)
            try await add(store, "handed", at: 1) { $0.polledAt = now }
            try await add(store, "b", at: 2)
            try await add(store, "mine", at: 5) { $0.workerID = "me" }
            try await add(store, "active", at: 0) { $0.state = .active }
            try await add(store, "elsewhere", environment: "env_2", at: 0)
            try equal(try await next(nil), "b")
            try equal(try await next("me"), "mine")
            try equal(try await next("you"), "b")
            try equal(try await next(nil, reclaimBefore: now), "b")
            try equal(try await next(nil, reclaimBefore: Make.time(101)), "handed")
            try equal(try await next("me", reclaimBefore: Make.time(101)), "mine")
            try equal(try await next(nil, "env_2"), "elsewhere")
            try expect(try await next(nil, "env_3") == nil, "an item of an unknown environment")
        },
        Case("statistics count what waits and what is handed out") { store in
            try equal(try await store.workStatistics(environmentID: "env_1"), WorkStatistics(depth: 0, pending: 0, oldestQueuedAt: nil))
            try await add(store, "a", at: 1) { $0.polledAt = Make.time(9) }
            try await add(store, "b", at: 2)
            try await add(store, "c", at: 3)
            try await add(store, "d", at: 0) { $0.state = .active }
            try await add(store, "e", environment: "env_2", at: 0)
            try equal(
                try await store.workStatistics(environmentID: "env_1"), WorkStatistics(depth: 2, pending: 1, oldestQueuedAt: Make.time(2)))
        },
        Case("leases come soonest first") { store in
            try await add(store, "a", at: 1) { ($0.leaseExpiresAt, $0.keyID) = (Make.time(30), "k1") }
            try await add(store, "b", at: 2) { ($0.leaseExpiresAt, $0.keyID) = (Make.time(20), "k2") }
            try await add(store, "c", at: 3) { $0.keyID = "k1" }
            try await add(store, "d", at: 4) { ($0.leaseExpiresAt, $0.keyID) = (Make.time(10), "k1") }
            try equal(try await store.leasedWork().map(\.sessionID), ["d", "b", "a"])
            try equal(try await store.leasedWork(keyID: "k1").map(\.sessionID), ["d", "a"])
            try expect(try await store.leasedWork(keyID: "k3").isEmpty, "leases of an unknown key")
        },
        Case("work items page newest first") { store in
            for index in 0..<7 { try await add(store, "s\(index)", at: index / 2) }
            try await add(store, "x", environment: "env_2", at: 0)
            let pages = try await walk { try await store.workItems(environmentID: "env_1", from: $0, limit: 3) }
            try equal(pages.map { $0.map(\.sessionID) }, [["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"]])
        },
        Case("the figures count work and open sessions by what they wait for") { (store: any Store) async throws in
            try equal(try await store.figures(), StoreFigures(queued: 0, pending: 0, leased: 0, sessions: [.idle: 0, .running: 0, .rescheduling: 0]))
            try await add(store, "queued", at: 1)
            try await add(store, "elsewhere", environment: "env_2", at: 1)
            try await add(store, "pending", at: 2) { $0.polledAt = Make.time(3) }
            try await add(store, "leased", at: 2) {
                $0.state = .active
                $0.leaseExpiresAt = Make.time(9)
            }
            try await add(store, "stopped", at: 2) { $0.state = .stopped }
            try await store.settle(Make.settlement("leased", after: 0, [Make.row(1)]))
            var archived = Make.settlement("stopped", after: 0, [])
            (archived.status, archived.archivedAt) = (.terminated, Make.time(5))
            try await store.settle(archived)
            try equal(try await store.figures(), StoreFigures(queued: 2, pending: 1, leased: 1, sessions: [.idle: 3, .running: 1, .rescheduling: 0]))
        },
    ]
}
