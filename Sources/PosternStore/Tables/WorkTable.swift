import ManagedAgentsAPI
import PosternCore

/// SQL of `work_items`.
enum WorkTable {
    static let names = [
        "session_id", "environment_id", "workspace_id", "state", "metadata", "created_at", "queued_at", "polled_at", "acknowledged_at",
        "stop_requested_at", "stopped_at", "heartbeat_at", "lease_expires_at", "lease_seconds", "token_hash", "worker_id", "key_id", "revision",
    ]
    static let columns = names.joined(separator: ", ")
    static let select = "SELECT \(columns) FROM work_items"
    private static let insertText = "INSERT INTO work_items (\(columns)) VALUES (\(names.map { _ in "?" }.joined(separator: ", ")))"
    private static let updateText =
        "UPDATE work_items SET \(names.dropFirst().map { "\($0) = ?" }.joined(separator: ", ")) WHERE session_id = ? AND revision = ?"

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> WorkRecord {
        WorkRecord(
            sessionID: try row.text(), environmentID: try row.text(), workspaceID: try row.text(), state: try row.name(WorkRecord.State.self),
            metadata: try row.object(), createdAt: try row.time(), queuedAt: try row.time(), polledAt: try row.optionalTime(),
            acknowledgedAt: try row.optionalTime(), stopRequestedAt: try row.optionalTime(), stoppedAt: try row.optionalTime(),
            heartbeatAt: try row.optionalTime(), leaseExpiresAt: try row.optionalTime(), leaseSeconds: try row.integer(),
            tokenHash: try row.optionalBlob(), workerID: try row.optionalText(), keyID: try row.optionalText(), revision: try row.integer())
    }

    private static func values(_ work: WorkRecord) -> [SQLValue] {
        [
            .text(work.sessionID), .text(work.environmentID), .text(work.workspaceID), .text(work.state.rawValue), SQLValue(work.metadata),
            SQLValue(work.createdAt), SQLValue(work.queuedAt), SQLValue(work.polledAt), SQLValue(work.acknowledgedAt),
            SQLValue(work.stopRequestedAt), SQLValue(work.stoppedAt), SQLValue(work.heartbeatAt), SQLValue(work.leaseExpiresAt),
            SQLValue(work.leaseSeconds), SQLValue(work.tokenHash), SQLValue(work.workerID), SQLValue(work.keyID), SQLValue(work.revision),
        ]
    }

    static func insert(_ work: WorkRecord) -> SQLStatement { SQLStatement(insertText, values(work)) }

    /// Affects one row if the stored revision is the one before the record's.
    static func update(_ work: WorkRecord) -> SQLStatement {
        SQLStatement(updateText, values(work).dropFirst() + [.text(work.sessionID), SQLValue(work.revision - 1)])
    }

    /// The oldest queued item that is free (`reclaimBefore` nil), or was handed out before that time.
    static func queued(environment: String, worker: String?, reclaimBefore: Timestamp?) -> SQLStatement {
        var query = SQLQuery(select)
        query.where("state = 'queued'")
        query.where("environment_id = ?", .text(environment))
        if let worker { query.where("worker_id = ?", .text(worker)) }
        if let reclaimBefore { query.where("polled_at < ?", SQLValue(reclaimBefore)) } else { query.where("polled_at IS NULL") }
        return query.statement(order: ["queued_at", "session_id"], ascending: true, limit: 1)
    }
}

extension PosternStore: WorkStore {
    package func work(_ sessionID: String) async throws(StoreError) -> WorkRecord? {
        try await first(SQLStatement(WorkTable.select + " WHERE session_id = ?", [.text(sessionID)]), WorkTable.decode)
    }

    package func work(tokenHash: [UInt8]) async throws(StoreError) -> WorkRecord? {
        try await first(SQLStatement(WorkTable.select + " WHERE token_hash = ?", [.blob(tokenHash)]), WorkTable.decode)
    }

    package func nextQueued(environmentID: String, workerID: String?, reclaimBefore: Timestamp) async throws(StoreError) -> WorkRecord? {
        // Four seeks in indexes instead of one scan past everything that others hold.
        let workers = workerID.map { [$0, nil] } ?? [nil]
        let statements = workers.flatMap { worker in
            [nil, reclaimBefore].map { WorkTable.queued(environment: environmentID, worker: worker, reclaimBefore: $0) }
        }
        let found = try await each(statements, WorkTable.decode)
        for worker in workers.indices {
            let candidates = found[(worker * 2)...(worker * 2 + 1)].joined()
            if let oldest = candidates.min(by: { ($0.queuedAt, $0.sessionID) < ($1.queuedAt, $1.sessionID) }) { return oldest }
        }
        return nil
    }

    package func update(_ record: WorkRecord) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(WorkTable.update(record))
        try await commit(transaction)
    }

    package func workItems(environmentID: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<WorkRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(WorkTable.select)
        query.where("environment_id = ?", .text(environmentID))
        keyset.start(&query, ("created_at", "session_id"))
        let statement = query.statement(order: ["created_at", "session_id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, WorkTable.decode)) {
            PagePosition(major: $0.createdAt.microseconds, minor: $0.sessionID)
        }
    }

    package func workStatistics(environmentID: String) async throws(StoreError) -> WorkStatistics {
        let statement = SQLStatement(
            """
            SELECT COUNT(*) - COUNT(polled_at), COUNT(polled_at), MIN(CASE WHEN polled_at IS NULL THEN queued_at END)
            FROM work_items WHERE state = 'queued' AND environment_id = ?
            """, [.text(environmentID)])
        let found = try await first(statement) { row throws(SQLFailure) in
            WorkStatistics(depth: try row.integer(), pending: try row.integer(), oldestQueuedAt: try row.optionalTime())
        }
        return found ?? WorkStatistics(depth: 0, pending: 0, oldestQueuedAt: nil)
    }

    package func leasedWork() async throws(StoreError) -> [WorkRecord] {
        try await all(
            SQLStatement(WorkTable.select + " WHERE lease_expires_at IS NOT NULL ORDER BY lease_expires_at, session_id"), WorkTable.decode)
    }

    package func leasedWork(keyID: String) async throws(StoreError) -> [WorkRecord] {
        try await all(
            SQLStatement(
                WorkTable.select + " WHERE key_id = ? AND lease_expires_at IS NOT NULL ORDER BY lease_expires_at, session_id", [.text(keyID)]),
            WorkTable.decode)
    }
}
