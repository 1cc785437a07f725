import ManagedAgentsAPI
import PosternCore

extension MemoryStore: WorkStore {
    static func update(_ record: WorkRecord, in state: inout State) throws(StoreError) {
        guard let stored = state.work[record.sessionID], stored.revision == record.revision - 1 else { throw .conflict }
        if let hash = record.tokenHash {
            guard !state.work.values.contains(where: { $0.tokenHash == hash && $0.sessionID != record.sessionID }) else { throw .conflict }
        }
        state.work[record.sessionID] = record
    }

    package func work(_ sessionID: String) async throws(StoreError) -> WorkRecord? {
        try with { state throws(StoreError) in state.work[sessionID] }
    }

    package func work(tokenHash: [UInt8]) async throws(StoreError) -> WorkRecord? {
        try with { state throws(StoreError) in state.work.values.first { $0.tokenHash == tokenHash } }
    }

    package func nextQueued(environmentID: String, workerID: String?, reclaimBefore: Timestamp) async throws(StoreError) -> WorkRecord? {
        try with { state throws(StoreError) in
            let free = state.work.values.filter { item in
                item.environmentID == environmentID && item.state == .queued && (item.polledAt.map { $0 < reclaimBefore } ?? true)
            }
            let mine = free.filter { workerID != nil && $0.workerID == workerID }
            return (mine.isEmpty ? free : mine).min { ($0.queuedAt, $0.sessionID) < ($1.queuedAt, $1.sessionID) }
        }
    }

    package func update(_ record: WorkRecord) async throws(StoreError) {
        try with { state throws(StoreError) in try Self.update(record, in: &state) }
    }

    package func workItems(environmentID: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<WorkRecord> {
        try with { state throws(StoreError) in
            Self.pageByTime(state.work.values.filter { $0.environmentID == environmentID }, from: from, limit: limit) {
                ($0.createdAt, $0.sessionID)
            }
        }
    }

    package func workStatistics(environmentID: String) async throws(StoreError) -> WorkStatistics {
        try with { state throws(StoreError) in
            let queued = state.work.values.filter { $0.environmentID == environmentID && $0.state == .queued }
            let waiting = queued.filter { $0.polledAt == nil }
            return WorkStatistics(
                depth: waiting.count, pending: queued.count - waiting.count, oldestQueuedAt: waiting.map(\.queuedAt).min())
        }
    }

    package func leasedWork() async throws(StoreError) -> [WorkRecord] {
        try with { state throws(StoreError) in Self.leased(state.work.values) }
    }

    package func leasedWork(keyID: String) async throws(StoreError) -> [WorkRecord] {
        try with { state throws(StoreError) in Self.leased(state.work.values.filter { $0.keyID == keyID }) }
    }

    private static func leased(_ items: some Sequence<WorkRecord>) -> [WorkRecord] {
        items.compactMap { item in item.leaseExpiresAt.map { (item, $0) } }
            .sorted { ($0.1, $0.0.sessionID) < ($1.1, $1.0.sessionID) }
            .map(\.0)
    }
}

extension MemoryStore: FigureStore {
    package func figures() async throws(StoreError) -> StoreFigures {
        try with { state throws(StoreError) in
            let queued = state.work.values.filter { $0.state == .queued }
            let open = state.sessions.values.map(\.record).filter { $0.archivedAt == nil }
            func count(_ status: SessionRecord.Status) -> Int { open.count { $0.status == status } }
            return StoreFigures(
                queued: queued.count { $0.polledAt == nil }, pending: queued.count { $0.polledAt != nil },
                leased: state.work.values.count { $0.leaseExpiresAt != nil },
                sessions: [
                    .idle: count(.idle) + count(.terminated), .running: count(.running), .rescheduling: count(.rescheduling),
                ])
        }
    }
}
