import ManagedAgentsAPI
import PosternCore

/// SQL of `tunnels`, `tunnel_tokens` and `tunnel_revision`.
enum TunnelTable {
    static let select =
        "SELECT id, workspace_id, display_name, domain, token_id, splice, hide_routes, created_at, archived_at FROM tunnels"

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> TunnelRecord {
        TunnelRecord(
            id: try row.text(), workspaceID: try row.text(), displayName: try row.optionalText(), domain: try row.text(), tokenID: try row.text(),
            splice: try row.integer() != 0, hidesRoutes: try row.integer() != 0, createdAt: try row.time(), archivedAt: try row.optionalTime())
    }

    static func list(_ workspaceID: String, includeArchived: Bool, _ keyset: Keyset) -> SQLStatement {
        var query = SQLQuery(select)
        query.where("workspace_id = ?", .text(workspaceID))
        if !includeArchived { query.where("archived_at IS NULL") }
        keyset.start(&query, ("created_at", "id"))
        return query.statement(order: ["created_at", "id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
    }

    static func decodeToken(_ row: inout SQLRowReader) throws(SQLFailure) -> TunnelTokenRecord {
        TunnelTokenRecord(
            id: try row.text(), tunnelID: try row.text(), createdAt: try row.time(), rotatedAt: try row.optionalTime(),
            reason: try row.optionalText())
    }

    static func insert(_ token: TunnelTokenRecord) -> SQLStatement {
        SQLStatement(
            "INSERT INTO tunnel_tokens (id, tunnel_id, created_at) VALUES (?, ?, ?)",
            [.text(token.id), .text(token.tunnelID), SQLValue(token.createdAt)])
    }

    /// In every transaction that edges must learn of.
    static let raiseRevision = SQLStatement("UPDATE tunnel_revision SET value = value + 1 WHERE id = 1")

    /// What an edge is told, each part in the order of its keys.
    static let live = [
        SQLStatement("SELECT value FROM tunnel_revision WHERE id = 1"),
        SQLStatement("SELECT id, domain, workspace_id, splice FROM tunnels WHERE archived_at IS NULL ORDER BY id"),
        SQLStatement("SELECT tunnel_id, fingerprint FROM connector_keys WHERE revoked_at IS NULL ORDER BY tunnel_id, fingerprint"),
        SQLStatement(
            """
            SELECT workspace_id, certificate FROM runtime_authorities
            WHERE workspace_id IN (SELECT workspace_id FROM tunnels WHERE archived_at IS NULL) ORDER BY workspace_id
            """),
        SQLStatement("SELECT tunnel_id, COUNT(*) FROM tunnel_registrations GROUP BY tunnel_id"),
    ]

    static func decodeLive(_ parts: [[SQLRow]]) throws(SQLFailure) -> LiveTunnels {
        guard parts.count == 5, let first = parts[0].first else { throw .invalid("the revision of the tunnels is missing") }
        var keys: [String: [String]] = [:]
        for row in parts[2] {
            var reader = SQLRowReader(row)
            keys[try reader.text(), default: []].append(try reader.text())
        }
        var registrations: [String: Int] = [:]
        for row in parts[4] {
            var reader = SQLRowReader(row)
            registrations[try reader.text()] = try reader.integer()
        }
        var tunnels: [LiveTunnels.Tunnel] = []
        for row in parts[1] {
            var reader = SQLRowReader(row)
            let (id, domain, workspace) = (try reader.text(), try reader.text(), try reader.text())
            tunnels.append(
                .init(
                    id: id, domain: domain, workspaceID: workspace, splice: try reader.integer() != 0, connectorKeys: keys[id] ?? [],
                    registrations: registrations[id] ?? 0))
        }
        var authorities: [String: String] = [:]
        for row in parts[3] {
            var reader = SQLRowReader(row)
            authorities[try reader.text()] = try reader.text()
        }
        var revision = SQLRowReader(first)
        return LiveTunnels(revision: try revision.integer(), tunnels: tunnels, authorities: authorities)
    }
}

extension PosternStore: TunnelStore {
    package func create(_ tunnel: TunnelRecord, mostLive: Int, first entry: [UInt8]) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                """
                INSERT INTO tunnels (id, workspace_id, display_name, domain, token_id, splice, hide_routes, created_at, archived_at)
                SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?
                WHERE (SELECT COUNT(*) FROM tunnels WHERE workspace_id = ? AND archived_at IS NULL) < ?
                """,
                [
                    .text(tunnel.id), .text(tunnel.workspaceID), SQLValue(tunnel.displayName), .text(tunnel.domain), .text(tunnel.tokenID),
                    SQLValue(tunnel.splice ? 1 : 0), SQLValue(tunnel.hidesRoutes ? 1 : 0), SQLValue(tunnel.createdAt), SQLValue(tunnel.archivedAt),
                    .text(tunnel.workspaceID),
                    SQLValue(mostLive),
                ]))
        transaction.run(TunnelTable.insert(TunnelTokenRecord(id: tunnel.tokenID, tunnelID: tunnel.id, createdAt: tunnel.createdAt)))
        transaction.run(TunnelTable.raiseRevision)
        transaction.require(RegistrationTable.insert(RegistrationAppend(position: 0, entry: entry), tunnelID: tunnel.id))
        do throws(SQLFailure) {
            try await database.commit(transaction)
        } catch .duplicate(_, let detail) where detail.contains("domain") {
            throw .duplicate("domain")
        } catch {
            throw error.storeError
        }
    }

    package func tunnel(_ id: String) async throws(StoreError) -> TunnelRecord? {
        try await first(SQLStatement(TunnelTable.select + " WHERE id = ?", [.text(id)]), TunnelTable.decode)
    }

    package func tunnel(domain: String) async throws(StoreError) -> TunnelRecord? {
        try await first(SQLStatement(TunnelTable.select + " WHERE domain = ?", [.text(domain)]), TunnelTable.decode)
    }

    package func tunnels(
        workspaceID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<TunnelRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        let statement = TunnelTable.list(workspaceID, includeArchived: includeArchived, keyset)
        return keyset.page(try await all(statement, TunnelTable.decode)) { PagePosition(major: $0.createdAt.microseconds, minor: $0.id) }
    }

    package func archiveTunnel(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement("UPDATE tunnels SET archived_at = ? WHERE id = ? AND archived_at IS NULL", [SQLValue(time), .text(id)]))
        transaction.run(
            SQLStatement(
                "UPDATE tunnel_certificates SET archived_at = ? WHERE tunnel_id = ? AND archived_at IS NULL", [SQLValue(time), .text(id)]))
        transaction.run(
            SQLStatement("UPDATE connector_keys SET revoked_at = ? WHERE tunnel_id = ? AND revoked_at IS NULL", [SQLValue(time), .text(id)]))
        transaction.run(TunnelTable.raiseRevision)
        _ = try await commitIfPresent(transaction, logging: append, tunnelID: id)
    }

    package func changeTunnel(_ id: String, splice: Bool?, hidesRoutes: Bool?) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                "UPDATE tunnels SET splice = COALESCE(?, splice), hide_routes = COALESCE(?, hide_routes) WHERE id = ? AND archived_at IS NULL",
                [SQLValue(splice.map { $0 ? 1 : 0 }), SQLValue(hidesRoutes.map { $0 ? 1 : 0 }), .text(id)]))
        if splice != nil { transaction.run(TunnelTable.raiseRevision) }
        try await commit(transaction)
    }

    package func rotateToken(_ old: String, to new: TunnelTokenRecord, reason: String?) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                "UPDATE tunnels SET token_id = ? WHERE id = ? AND token_id = ? AND archived_at IS NULL",
                [.text(new.id), .text(new.tunnelID), .text(old)]))
        transaction.require(
            SQLStatement(
                "UPDATE tunnel_tokens SET rotated_at = ?, reason = ? WHERE id = ?", [SQLValue(new.createdAt), SQLValue(reason), .text(old)]))
        transaction.run(TunnelTable.insert(new))
        transaction.run(TunnelTable.raiseRevision)
        try await commit(transaction)
    }

    package func tunnelToken(_ id: String) async throws(StoreError) -> TunnelTokenRecord? {
        try await first(
            SQLStatement("SELECT id, tunnel_id, created_at, rotated_at, reason FROM tunnel_tokens WHERE id = ?", [.text(id)]),
            TunnelTable.decodeToken)
    }

    package func liveTunnels() async throws(StoreError) -> LiveTunnels {
        do throws(SQLFailure) { return try TunnelTable.decodeLive(try await database.read(TunnelTable.live)) } catch { throw error.storeError }
    }

    package func hasSealed() async throws(StoreError) -> Bool {
        let statement = SQLStatement(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM tunnels) OR EXISTS (SELECT 1 FROM runtime_authorities) THEN 1 ELSE 0 END")
        return try await first(statement) { row throws(SQLFailure) in try row.integer() } == 1
    }
}
