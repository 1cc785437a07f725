import ManagedAgentsAPI
import PosternCore

/// SQL of `api_keys` and `workspaces`.
enum KeyTable {
    static let select = """
        SELECT id, kind, workspace_id, role, environment_id, name, hash, hint, created_at, expires_at, revoked_at FROM api_keys
        """

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> KeyRecord {
        KeyRecord(
            id: try row.text(), kind: try row.name(KeyRecord.Kind.self), workspaceID: try row.text(), role: try role(row.optionalText()),
            environmentID: try row.optionalText(), name: try row.text(), hash: try row.blob(), hint: try row.text(), createdAt: try row.time(),
            expiresAt: try row.optionalTime(), revokedAt: try row.optionalTime())
    }

    /// An unknown role opens nothing: it is an error, not the absence of one.
    private static func role(_ name: String?) throws(SQLFailure) -> KeyRecord.Role? {
        guard let name else { return nil }
        guard let role = KeyRecord.Role(rawValue: name) else { throw .invalid("'\(name)' is not a role") }
        return role
    }

    static func decodeWorkspace(_ row: inout SQLRowReader) throws(SQLFailure) -> WorkspaceRecord {
        WorkspaceRecord(id: try row.text(), name: try row.text(), createdAt: try row.time())
    }
}

extension PosternStore: KeyStore {
    package func create(_ key: KeyRecord) async throws(StoreError) {
        try await commit(
            SQLTransaction(
                SQLStatement(
                    """
                    INSERT INTO api_keys (id, kind, workspace_id, role, environment_id, name, hash, hint, created_at, expires_at, revoked_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                    [
                        .text(key.id), .text(key.kind.rawValue), .text(key.workspaceID), SQLValue(key.role?.rawValue), SQLValue(key.environmentID),
                        .text(key.name), .blob(key.hash), .text(key.hint), SQLValue(key.createdAt), SQLValue(key.expiresAt), SQLValue(key.revokedAt),
                    ])))
    }

    package func key(hash: [UInt8]) async throws(StoreError) -> KeyRecord? {
        try await first(SQLStatement(KeyTable.select + " WHERE hash = ?", [.blob(hash)]), KeyTable.decode)
    }

    package func key(_ id: String) async throws(StoreError) -> KeyRecord? {
        try await first(SQLStatement(KeyTable.select + " WHERE id = ?", [.text(id)]), KeyTable.decode)
    }

    package func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) -> Bool {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", [SQLValue(time), .text(id)]))
        return try await commitIfPresent(transaction)
    }

    package func keys(
        workspaceID: String, kind: KeyRecord.Kind, environmentID: String?, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<KeyRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(KeyTable.select)
        query.where("workspace_id = ?", .text(workspaceID))
        query.where("kind = ?", .text(kind.rawValue))
        if let environmentID { query.where("environment_id = ?", .text(environmentID)) }
        keyset.start(&query, ("created_at", "id"))
        let statement = query.statement(order: ["created_at", "id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, KeyTable.decode)) { PagePosition(major: $0.createdAt.microseconds, minor: $0.id) }
    }

    package func create(_ workspace: WorkspaceRecord) async throws(StoreError) {
        try await commit(
            SQLTransaction(
                SQLStatement(
                    "INSERT INTO workspaces (id, name, created_at) VALUES (?, ?, ?)",
                    [.text(workspace.id), .text(workspace.name), SQLValue(workspace.createdAt)])))
    }

    package func workspace(_ id: String) async throws(StoreError) -> WorkspaceRecord? {
        try await first(SQLStatement("SELECT id, name, created_at FROM workspaces WHERE id = ?", [.text(id)]), KeyTable.decodeWorkspace)
    }

    package func workspaces() async throws(StoreError) -> [WorkspaceRecord] {
        try await all(SQLStatement("SELECT id, name, created_at FROM workspaces ORDER BY created_at, id"), KeyTable.decodeWorkspace)
    }
}
