import ManagedAgentsAPI
import PosternCore

/// SQL of `agents` and `agent_versions`.
enum AgentTable {
    static let select = """
        SELECT a.id, a.workspace_id, v.version, v.body, v.created_at, v.updated_at, a.archived_at
        FROM agents a JOIN agent_versions v ON v.agent_id = a.id
        """

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> AgentRecord {
        AgentRecord(
            id: try row.text(), workspaceID: try row.text(), version: try row.integer(), body: try row.object(), createdAt: try row.time(),
            updatedAt: try row.time(), archivedAt: try row.optionalTime())
    }

    static func insertVersion(_ agent: AgentRecord) -> SQLStatement {
        SQLStatement(
            "INSERT INTO agent_versions (agent_id, version, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            [.text(agent.id), SQLValue(agent.version), SQLValue(agent.body), SQLValue(agent.createdAt), SQLValue(agent.updatedAt)])
    }
}

extension PosternStore: AgentStore {
    package func create(_ agent: AgentRecord) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.run(
            SQLStatement(
                "INSERT INTO agents (id, workspace_id, version, created_at, archived_at) VALUES (?, ?, ?, ?, ?)",
                [.text(agent.id), .text(agent.workspaceID), SQLValue(agent.version), SQLValue(agent.createdAt), SQLValue(agent.archivedAt)]))
        transaction.run(AgentTable.insertVersion(agent))
        try await commit(transaction)
    }

    package func agent(_ id: String, version: Int?) async throws(StoreError) -> AgentRecord? {
        let statement =
            if let version {
                SQLStatement(AgentTable.select + " WHERE a.id = ? AND v.version = ?", [.text(id), SQLValue(version)])
            } else {
                SQLStatement(AgentTable.select + " WHERE a.id = ? AND v.version = a.version", [.text(id)])
            }
        return try await first(statement, AgentTable.decode)
    }

    package func addVersion(_ agent: AgentRecord) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                "UPDATE agents SET version = ? WHERE id = ? AND version = ? AND archived_at IS NULL",
                [SQLValue(agent.version), .text(agent.id), SQLValue(agent.version - 1)]))
        transaction.run(AgentTable.insertVersion(agent))
        try await commit(transaction)
    }

    package func archiveAgent(_ id: String, at time: Timestamp) async throws(StoreError) {
        try await commit(
            SQLTransaction(
                SQLStatement("UPDATE agents SET archived_at = ? WHERE id = ? AND archived_at IS NULL", [SQLValue(time), .text(id)])))
    }

    package func agents(
        workspaceID: String, includeArchived: Bool, createdAt: TimeRange, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<AgentRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(AgentTable.select + " AND v.version = a.version")
        query.where("a.workspace_id = ?", .text(workspaceID))
        if !includeArchived { query.where("a.archived_at IS NULL") }
        query.where("a.created_at", in: createdAt)
        keyset.start(&query, ("a.created_at", "a.id"))
        let statement = query.statement(order: ["a.created_at", "a.id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, AgentTable.decode)) { PagePosition(major: $0.createdAt.microseconds, minor: $0.id) }
    }

    package func agentVersions(_ id: String, from: PagePosition?, limit: Int) async throws(StoreError) -> Page<AgentRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(AgentTable.select)
        query.where("a.id = ?", .text(id))
        if let from { query.where("v.version \(keyset.comparison) ?", .integer(from.major)) }
        let statement = query.statement(order: ["v.version"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, AgentTable.decode)) { PagePosition(major: Int64($0.version), minor: "") }
    }
}
