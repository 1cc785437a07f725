import ManagedAgentsAPI

/// Brings a database to the newest schema, one transaction per migration. Two processes may do so at once: the second finds the
/// version taken and reads again.
struct Migrator {
    let database: any SQLDatabase
    let migrations: [Migration]

    private static let table = """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)
        """

    /// Runs what is missing. Refuses a database that a newer Postern has written, or whose history is not ours.
    func migrate(at time: Timestamp) async throws(SQLFailure) {
        try await database.commit(SQLTransaction(SQLStatement(Self.table)))
        while let migration = try await pending().first {
            do throws(SQLFailure) {
                try await database.commit(transaction(for: migration, at: time))
            } catch .duplicate(step: 0, _) {
                continue
            }
        }
    }

    /// What has not run yet, oldest first.
    func pending() async throws(SQLFailure) -> [Migration] {
        let rows = try await database.rows(SQLStatement("SELECT version, name, checksum FROM schema_migrations ORDER BY version"))
        var applied = 0
        for row in rows {
            var reader = SQLRowReader(row)
            let (version, name, checksum) = (try reader.integer(), try reader.text(), try reader.text())
            guard let known = migrations.first(where: { $0.version == version }) else {
                let newest = migrations.last?.version ?? 0
                throw .unavailable(
                    "the database has schema \(version) (\(name)), this Postern knows up to \(newest): use a newer Postern or restore a backup")
            }
            guard known.checksum == checksum else {
                throw .unavailable("schema \(version) (\(name)) of the database is not the one that this Postern made: restore a backup")
            }
            guard version == applied + 1 else { throw .unavailable("the database lacks schema \(applied + 1), but has \(version)") }
            applied = version
        }
        return Array(migrations.drop { $0.version <= applied })
    }

    private func transaction(for migration: Migration, at time: Timestamp) -> SQLTransaction {
        var transaction = SQLTransaction()
        transaction.run(
            SQLStatement(
                "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
                [SQLValue(migration.version), .text(migration.name), .text(migration.checksum), SQLValue(time)]
            ))
        for statement in migration.statements { transaction.run(SQLStatement(database.dialect.render(statement))) }
        return transaction
    }
}
