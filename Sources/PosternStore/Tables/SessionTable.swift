import ManagedAgentsAPI
import PosternCore

/// SQL of `sessions` and `session_documents`.
enum SessionTable {
    static let columns = """
        s.id, s.workspace_id, s.environment_id, s.agent_id, s.agent_version, s.thread_id, s.status, s.title, d.metadata, d.agent, d.vault_ids,
        s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_5m_tokens, s.cache_1h_tokens, s.active_microseconds,
        s.created_at, s.updated_at, s.archived_at, s.last_sequence, s.created_by
        """
    static let select = "SELECT \(columns) FROM sessions s JOIN session_documents d ON d.session_id = s.id"

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> SessionRecord {
        SessionRecord(
            id: try row.text(), workspaceID: try row.text(), environmentID: try row.text(), agentID: try row.text(),
            agentVersion: try row.integer(), threadID: try row.text(), status: try row.name(SessionRecord.Status.self),
            title: try row.optionalText(), metadata: try row.object(), agent: try row.object(), vaultIDs: try row.strings(),
            usage: SessionUsage(
                tokens: ModelUsage(
                    input: try row.integer(), output: try row.integer(), cacheRead: try row.integer(), cacheCreation5m: try row.integer(),
                    cacheCreation1h: try row.integer()),
                activeMicroseconds: Int64(try row.integer())),
            createdAt: try row.time(), updatedAt: try row.time(), archivedAt: try row.optionalTime(), lastSequence: try row.integer()
        ).created(by: try row.optionalText())
    }

    private static func usage(_ usage: SessionUsage) -> [SQLValue] {
        [
            SQLValue(usage.tokens.input), SQLValue(usage.tokens.output), SQLValue(usage.tokens.cacheRead),
            SQLValue(usage.tokens.cacheCreation5m), SQLValue(usage.tokens.cacheCreation1h), .integer(usage.activeMicroseconds),
        ]
    }

    static func insert(_ session: SessionRecord) -> [SQLStatement] {
        [
            SQLStatement(
                """
                INSERT INTO sessions (id, last_sequence, status, updated_at, input_tokens, output_tokens, cache_read_tokens, cache_5m_tokens,
                    cache_1h_tokens, active_microseconds, workspace_id, environment_id, agent_id, agent_version, thread_id, title, created_at,
                    archived_at, created_by)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [.text(session.id), SQLValue(session.lastSequence), .text(session.status.rawValue), SQLValue(session.updatedAt)]
                    + usage(session.usage) + [
                        .text(session.workspaceID), .text(session.environmentID), .text(session.agentID), SQLValue(session.agentVersion),
                        .text(session.threadID), SQLValue(session.title), SQLValue(session.createdAt), SQLValue(session.archivedAt),
                        SQLValue(session.createdBy),
                    ]),
            SQLStatement(
                "INSERT INTO session_documents (session_id, agent, metadata, vault_ids) VALUES (?, ?, ?, ?)",
                [.text(session.id), SQLValue(session.agent), SQLValue(session.metadata), SQLValue(session.vaultIDs)]),
        ]
    }

    /// Affects one row if the log still has the length that the settlement was decided on.
    static func advance(_ settlement: Settlement) -> SQLStatement {
        SQLStatement(
            """
            UPDATE sessions SET last_sequence = ?, status = ?, updated_at = ?, input_tokens = ?, output_tokens = ?, cache_read_tokens = ?,
                cache_5m_tokens = ?, cache_1h_tokens = ?, active_microseconds = ?
            WHERE id = ? AND last_sequence = ?
            """,
            [SQLValue(settlement.expectedSequence + settlement.rows.count), .text(settlement.status.rawValue), SQLValue(settlement.updatedAt)]
                + usage(settlement.usage) + [.text(settlement.sessionID), SQLValue(settlement.expectedSequence)])
    }

    /// What a settlement changes seldom.
    static func changes(_ settlement: Settlement) -> [SQLStatement] {
        let id = SQLValue.text(settlement.sessionID)
        var changes: [SQLStatement] = []
        if let title = settlement.title { changes.append(SQLStatement("UPDATE sessions SET title = ? WHERE id = ?", [SQLValue(title), id])) }
        if let time = settlement.archivedAt {
            changes.append(SQLStatement("UPDATE sessions SET archived_at = ? WHERE id = ?", [SQLValue(time), id]))
        }
        if let metadata = settlement.metadata {
            changes.append(SQLStatement("UPDATE session_documents SET metadata = ? WHERE session_id = ?", [SQLValue(metadata), id]))
        }
        if let agent = settlement.agent {
            changes.append(SQLStatement("UPDATE session_documents SET agent = ? WHERE session_id = ?", [SQLValue(agent), id]))
        }
        return changes
    }

    static func list(_ filter: SessionFilter, _ keyset: Keyset) -> SQLStatement {
        var query = SQLQuery(select)
        query.where("s.workspace_id = ?", .text(filter.workspaceID))
        if let agent = filter.agentID {
            query.where("s.agent_id = ?", .text(agent))
            if let version = filter.agentVersion { query.where("s.agent_version = ?", SQLValue(version)) }
        }
        query.where("s.status", isOneOf: filter.statuses.map(\.rawValue))
        if !filter.includeArchived {
            query.where("s.archived_at IS NULL")
            if filter.statuses.isEmpty { query.where("s.status <> 'terminated'") }
        }
        query.where("s.created_at", in: filter.createdAt)
        keyset.start(&query, ("s.created_at", "s.id"))
        return query.statement(order: ["s.created_at", "s.id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
    }
}

extension SessionRecord {
    /// Arguments are evaluated in the order of the initializer, and columns are read in theirs.
    fileprivate func created(by person: String?) -> SessionRecord {
        var record = self
        record.createdBy = person
        return record
    }
}

extension PosternStore: SessionStore {
    package func create(_ session: SessionRecord, rows: [EventRow], work: WorkRecord) async throws(StoreError) {
        guard EventTable.follow(rows, session.lastSequence - rows.count), session.lastSequence == rows.count else { throw .conflict }
        var transaction = SQLTransaction()
        for statement in SessionTable.insert(session) { transaction.run(statement) }
        for row in rows { EventTable.append(row, session: session.id, to: &transaction) }
        transaction.run(WorkTable.insert(work))
        try await commit(transaction)
    }

    package func session(_ id: String) async throws(StoreError) -> SessionRecord? {
        try await first(SQLStatement(SessionTable.select + " WHERE s.id = ?", [.text(id)]), SessionTable.decode)
    }

    package func sessions(
        _ filter: SessionFilter, order: SortOrder, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<SessionRecord> {
        let keyset = Keyset(order: order, from: from, limit: limit)
        return keyset.page(try await all(SessionTable.list(filter, keyset), SessionTable.decode)) {
            PagePosition(major: $0.createdAt.microseconds, minor: $0.id)
        }
    }

    package func settle(_ settlement: Settlement) async throws(StoreError) {
        guard EventTable.follow(settlement.rows, settlement.expectedSequence) else { throw .conflict }
        var transaction = SQLTransaction()
        transaction.require(SessionTable.advance(settlement))
        for row in settlement.rows { EventTable.append(row, session: settlement.sessionID, to: &transaction) }
        for change in SessionTable.changes(settlement) { transaction.require(change) }
        if let work = settlement.work { transaction.require(WorkTable.update(work)) }
        try await commit(transaction)
    }

    package func deleteSession(_ id: String) async throws(StoreError) -> Bool {
        var transaction = SQLTransaction()
        // The guard comes first, so that an unknown session costs one look; it locks the row, where a database has row locks.
        transaction.require(SQLStatement("UPDATE sessions SET updated_at = updated_at WHERE id = ?", [.text(id)]))
        for table in ["work_items", "waiting_events", "events", "session_documents"] {
            transaction.run(SQLStatement("DELETE FROM \(table) WHERE session_id = ?", [.text(id)]))
        }
        transaction.require(SQLStatement("DELETE FROM sessions WHERE id = ?", [.text(id)]))
        return try await commitIfPresent(transaction)
    }

    package func unfinishedSessions() async throws(StoreError) -> [String] {
        try await all(
            SQLStatement("SELECT id FROM sessions WHERE status IN ('running', 'rescheduling') ORDER BY id")
        ) { row throws(SQLFailure) in try row.text() }
    }
}
