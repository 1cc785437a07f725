import ManagedAgentsAPI
import PosternCore

/// SQL of `tunnel_certificates`, `connector_keys` and `runtime_authorities`.
enum TunnelKeyTable {
    static let selectCertificate = "SELECT id, tunnel_id, fingerprint, pem, created_at, expires_at, archived_at FROM tunnel_certificates"
    static let selectKey = "SELECT fingerprint, tunnel_id, token_id, enrolled_at, revoked_at FROM connector_keys"

    static func decodeCertificate(_ row: inout SQLRowReader) throws(SQLFailure) -> TunnelCertificateRecord {
        TunnelCertificateRecord(
            id: try row.text(), tunnelID: try row.text(), fingerprint: try row.text(), pem: try row.text(), createdAt: try row.time(),
            expiresAt: try row.optionalTime(), archivedAt: try row.optionalTime())
    }

    static func decodeKey(_ row: inout SQLRowReader) throws(SQLFailure) -> ConnectorKeyRecord {
        ConnectorKeyRecord(
            fingerprint: try row.text(), tunnelID: try row.text(), tokenID: try row.text(), enrolledAt: try row.time(),
            revokedAt: try row.optionalTime())
    }

    static func decodeAuthority(_ row: inout SQLRowReader) throws(SQLFailure) -> RuntimeAuthorityRecord {
        RuntimeAuthorityRecord(
            workspaceID: try row.text(), certificatePEM: try row.text(), sealedKey: try row.blob(), createdAt: try row.time())
    }
}

extension PosternStore {
    package func create(_ certificate: TunnelCertificateRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                """
                INSERT INTO tunnel_certificates (id, tunnel_id, fingerprint, pem, created_at, expires_at, archived_at)
                SELECT ?, ?, ?, ?, ?, ?, ?
                WHERE EXISTS (SELECT 1 FROM tunnels WHERE id = ? AND archived_at IS NULL)
                    AND ((SELECT COUNT(*) FROM tunnel_certificates WHERE tunnel_id = ? AND archived_at IS NULL) < ?
                        OR EXISTS (SELECT 1 FROM tunnel_certificates WHERE tunnel_id = ? AND fingerprint = ? AND archived_at IS NULL))
                """,
                [
                    .text(certificate.id), .text(certificate.tunnelID), .text(certificate.fingerprint), .text(certificate.pem),
                    SQLValue(certificate.createdAt), SQLValue(certificate.expiresAt), SQLValue(certificate.archivedAt), .text(certificate.tunnelID),
                    .text(certificate.tunnelID), SQLValue(mostLive), .text(certificate.tunnelID), .text(certificate.fingerprint),
                ]))
        try await commitKeyed(transaction, logging: append, tunnelID: certificate.tunnelID)
    }

    package func tunnelCertificate(_ id: String) async throws(StoreError) -> TunnelCertificateRecord? {
        try await first(SQLStatement(TunnelKeyTable.selectCertificate + " WHERE id = ?", [.text(id)]), TunnelKeyTable.decodeCertificate)
    }

    package func tunnelCertificates(
        tunnelID: String, includeArchived: Bool, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<TunnelCertificateRecord> {
        let keyset = Keyset(order: .descending, from: from, limit: limit)
        var query = SQLQuery(TunnelKeyTable.selectCertificate)
        query.where("tunnel_id = ?", .text(tunnelID))
        if !includeArchived { query.where("archived_at IS NULL") }
        keyset.start(&query, ("created_at", "id"))
        let statement = query.statement(order: ["created_at", "id"], ascending: keyset.scansAscending, limit: keyset.scanLimit)
        return keyset.page(try await all(statement, TunnelKeyTable.decodeCertificate)) {
            PagePosition(major: $0.createdAt.microseconds, minor: $0.id)
        }
    }

    package func archiveTunnelCertificate(_ id: String, at time: Timestamp, logging append: RegistrationAppend) async throws(StoreError) {
        guard let certificate = try await tunnelCertificate(id) else { return }
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement("UPDATE tunnel_certificates SET archived_at = ? WHERE id = ? AND archived_at IS NULL", [SQLValue(time), .text(id)]))
        _ = try await commitIfPresent(transaction, logging: append, tunnelID: certificate.tunnelID)
    }

    package func enrol(_ key: ConnectorKeyRecord, mostLive: Int, logging append: RegistrationAppend) async throws(StoreError) {
        var transaction = SQLTransaction()
        // A key that is known is let through to the unique indexes, which say so.
        transaction.require(
            SQLStatement(
                """
                INSERT INTO connector_keys (fingerprint, tunnel_id, token_id, enrolled_at, revoked_at)
                SELECT ?, ?, ?, ?, ?
                WHERE EXISTS (SELECT 1 FROM tunnels WHERE id = ? AND token_id = ? AND archived_at IS NULL)
                    AND ((SELECT COUNT(*) FROM connector_keys WHERE tunnel_id = ? AND revoked_at IS NULL) < ?
                        OR EXISTS (SELECT 1 FROM connector_keys WHERE tunnel_id = ? AND fingerprint = ?))
                """,
                [
                    .text(key.fingerprint), .text(key.tunnelID), .text(key.tokenID), SQLValue(key.enrolledAt), SQLValue(key.revokedAt),
                    .text(key.tunnelID), .text(key.tokenID), .text(key.tunnelID), SQLValue(mostLive), .text(key.tunnelID), .text(key.fingerprint),
                ]))
        transaction.run(TunnelTable.raiseRevision)
        try await commitKeyed(transaction, logging: append, tunnelID: key.tunnelID)
    }

    package func connectorKey(_ fingerprint: String, tunnelID: String) async throws(StoreError) -> ConnectorKeyRecord? {
        try await first(
            SQLStatement(TunnelKeyTable.selectKey + " WHERE tunnel_id = ? AND fingerprint = ?", [.text(tunnelID), .text(fingerprint)]),
            TunnelKeyTable.decodeKey)
    }

    package func connectorKeys(tunnelID: String, limit: Int) async throws(StoreError) -> [ConnectorKeyRecord] {
        try await all(
            SQLStatement(
                TunnelKeyTable.selectKey + " WHERE tunnel_id = ? ORDER BY enrolled_at DESC, fingerprint DESC LIMIT ?",
                [.text(tunnelID), SQLValue(limit)]), TunnelKeyTable.decodeKey)
    }

    package func revokeConnectorKey(
        _ fingerprint: String, tunnelID: String, at time: Timestamp, logging append: RegistrationAppend
    ) async throws(StoreError) -> Bool {
        var transaction = SQLTransaction()
        transaction.require(
            SQLStatement(
                "UPDATE connector_keys SET revoked_at = ? WHERE tunnel_id = ? AND fingerprint = ? AND revoked_at IS NULL",
                [SQLValue(time), .text(tunnelID), .text(fingerprint)]))
        transaction.run(TunnelTable.raiseRevision)
        return try await commitIfPresent(transaction, logging: append, tunnelID: tunnelID)
    }

    package func runtimeAuthority(workspaceID: String) async throws(StoreError) -> RuntimeAuthorityRecord? {
        try await first(
            SQLStatement(
                "SELECT workspace_id, certificate, sealed_key, created_at FROM runtime_authorities WHERE workspace_id = ?", [.text(workspaceID)]),
            TunnelKeyTable.decodeAuthority)
    }

    package func create(_ authority: RuntimeAuthorityRecord) async throws(StoreError) {
        var transaction = SQLTransaction(
            SQLStatement(
                "INSERT INTO runtime_authorities (workspace_id, certificate, sealed_key, created_at) VALUES (?, ?, ?, ?)",
                [.text(authority.workspaceID), .text(authority.certificatePEM), .blob(authority.sealedKey), SQLValue(authority.createdAt)]))
        transaction.run(TunnelTable.raiseRevision)
        try await commit(transaction)
    }

    /// A broken unique constraint is the fingerprint's.
    private func commitKeyed(_ transaction: SQLTransaction, logging append: RegistrationAppend, tunnelID: String) async throws(StoreError) {
        var transaction = transaction
        let step = transaction.append(append, tunnelID: tunnelID)
        do throws(SQLFailure) {
            try await database.commit(transaction)
        } catch .guardFailed(step: step) {
            throw .duplicate("registrations")
        } catch .duplicate(_, let detail) where detail.contains("fingerprint") || detail.contains("connector_keys") {
            throw .duplicate("fingerprint")
        } catch {
            throw error.storeError
        }
    }
}
