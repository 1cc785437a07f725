import PosternCore

/// SQL of `tunnel_registrations`: rows are added, and that is all.
enum RegistrationTable {
    /// Adds nothing where the log has not exactly `position` entries.
    static func insert(_ append: RegistrationAppend, tunnelID: String) -> SQLStatement {
        SQLStatement(
            """
            INSERT INTO tunnel_registrations (tunnel_id, position, entry)
            SELECT ?, ?, ? WHERE (SELECT COUNT(*) FROM tunnel_registrations WHERE tunnel_id = ?) = ?
            """, [.text(tunnelID), SQLValue(append.position), .blob(append.entry), .text(tunnelID), SQLValue(append.position)])
    }

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> [UInt8] { try row.blob() }
}

extension SQLTransaction {
    /// Adds an entry of a log as the last step, so that every other guard speaks first; the step's index.
    mutating func append(_ append: RegistrationAppend, tunnelID: String) -> Int {
        // Edges tell connectors that there is news.
        run(TunnelTable.raiseRevision)
        require(RegistrationTable.insert(append, tunnelID: tunnelID))
        return steps.count - 1
    }
}

extension PosternStore {
    package func log(_ append: RegistrationAppend, tunnelID: String) async throws(StoreError) {
        var transaction = SQLTransaction()
        transaction.require(SQLStatement("UPDATE tunnels SET id = id WHERE id = ? AND archived_at IS NULL", [.text(tunnelID)]))
        guard try await commitIfPresent(transaction, logging: append, tunnelID: tunnelID) else { throw .conflict }
    }

    package func registrations(tunnelID: String, from position: Int, limit: Int) async throws(StoreError) -> [[UInt8]] {
        try await all(
            SQLStatement(
                "SELECT entry FROM tunnel_registrations WHERE tunnel_id = ? AND position >= ? ORDER BY position LIMIT ?",
                [.text(tunnelID), SQLValue(position), SQLValue(limit)]), RegistrationTable.decode)
    }

    /// False when the guard of step 0 did not hold; `.duplicate("registrations")` when the log has another length.
    func commitIfPresent(_ transaction: SQLTransaction, logging append: RegistrationAppend, tunnelID: String) async throws(StoreError) -> Bool {
        var transaction = transaction
        let step = transaction.append(append, tunnelID: tunnelID)
        do throws(SQLFailure) {
            try await database.commit(transaction)
            return true
        } catch .guardFailed(step: 0) {
            return false
        } catch .guardFailed(step: step) {
            throw .duplicate("registrations")
        } catch {
            throw error.storeError
        }
    }
}
