import ManagedAgentsAPI
import PosternCore

/// SQL of `environments`.
enum EnvironmentTable {
    static let select = "SELECT id, workspace_id, name, body, created_at, updated_at, archived_at FROM environments"

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> EnvironmentRecord {
        EnvironmentRecord(
            id: try row.text(), workspaceID: try row.text(), name: try row.text(), body: try row.object(), createdAt: try row.time(),
            updatedAt: try row.time(), archivedAt: try row.optionalTime())
    }
}

extension PosternStore: EnvironmentStore {
    package func create(_ environment: EnvironmentRecord) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.run(
            SQLStatement(
                "INSERT INTO environments (id, workspace_id, name, body, created_at, updated_at, archived_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    .text(environment.id), .text(environment.workspaceID), .text(environment.name), SQLValue(environment.body),
                    SQLValue(environment.createdAt), SQLValue(environment.updatedAt), SQLValue(environment.archivedAt),
                ]))
        try await commitNamed(transaction)
    }

    package func environment(_ id: String) async throws(StoreError) -> EnvironmentRecord? {
        try await first(SQLStatement(EnvironmentTable.select + " WHERE id = ?", [.text(id)]), EnvironmentTable.decode)
    }

    package func update(_ environment: EnvironmentRecord) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                "UPDATE environments SET name = ?, body = ?, updated_at = ?, archived_at = ? WHERE id = ?",
                [
                    .text(environment.name), SQLValue(environment.body), SQLValue(environment.updatedAt), SQLValue(environment.archivedAt),
                    .text(environment.id),
                ]))
        try await commitNamed(transaction)
    }

    package func deleteEnvironment(_ id: String) async throws(StoreError) -> Bool {
        var transaction = SQLTransaction()
        // Its keys stay, as in the reference: they open nothing but a 404 that names the environment.
        // A session that was made after the caller counted keeps its environment.
        transaction.require(
            SQLStatement(
                """
                DELETE FROM environments
                WHERE id = ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE environment_id = ? AND archived_at IS NULL)
                """, [.text(id), .text(id)]))
        if try await commitIfPresent(transaction) { return true }
        if try await environment(id) != nil { throw .conflict }
        return false
    }

    package func environments(
        workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<EnvironmentRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(EnvironmentTable.select)
        query.where("workspace_id = ?", .text(workspaceID))
        if !includeArchived { query.where("archived_at IS NULL") }
        keyset.start(&query, ("created_at", "id"))
        let statement = query.statement(order: ["created_at", "id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, EnvironmentTable.decode)) {
            PagePosition(major: $0.createdAt.microseconds, minor: $0.id)
        }
    }

    package func activeSessionCount(environmentID: String) async throws(StoreError) -> Int {
        let statement = SQLStatement("SELECT COUNT(*) FROM sessions WHERE environment_id = ? AND archived_at IS NULL", [.text(environmentID)])
        return try await first(statement) { row throws(SQLFailure) in try row.integer() } ?? 0
    }

    /// A broken unique constraint is the name's, unless it is the id's.
    private func commitNamed(_ transaction: SQLTransaction) async throws(StoreError) {
        do throws(SQLFailure) {
            try await database.commit(transaction)
        } catch .duplicate(_, let detail) where detail.contains("name") {
            throw .duplicate("name")
        } catch {
            throw error.storeError
        }
    }
}
