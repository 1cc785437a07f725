import ManagedAgentsAPI
import PosternCore

/// Everything that the control plane keeps, in a SQL database. The tables' SQL is in one file each.
///
/// A value: copies share the database. `close()` ends it for all.
package struct PosternStore: Sendable {
    let database: any SQLDatabase
    let sqlite: SQLiteDatabase

    /// What the store is opened for.
    package enum Purpose: Sendable {
        /// Makes the database if there is none and brings it to the newest schema.
        case serve
        /// Neither makes nor changes anything: for `store check` and `store backup`, also beside a running server.
        case inspect
    }

    /// Opens the SQLite database at `path`. Files get mode 0600 and folders that are missing 0700.
    ///
    /// Throws `.unavailable` for a path that cannot be written, a database of a newer Postern, and with `.inspect` for one that is
    /// missing or older than this Postern.
    ///
    /// - Parameter observer: Told of commits and failures.
    package static func open(
        path: String, for purpose: Purpose = .serve, observer: StoreObserver = StoreObserver()
    ) async throws(StoreError) -> PosternStore {
        try await open(path: path, for: purpose, migrations: Schema.migrations, observer: observer)
    }

    static func open(
        path: String, for purpose: Purpose, migrations: [Migration], observer: StoreObserver = StoreObserver()
    ) async throws(StoreError) -> PosternStore {
        if purpose == .inspect, !SQLiteFiles.exists(path) { throw .unavailable("there is no database at \(path)") }
        do throws(SQLFailure) {
            let database = try await SQLiteDatabase.open(path: path, reservesLog: purpose == .serve, observer: observer)
            let migrator = Migrator(database: database, migrations: migrations)
            switch purpose {
            case .serve: try await migrator.migrate(at: .now())
            case .inspect:
                guard try await migrator.pending().isEmpty else {
                    throw .unavailable("the database has an older schema: start this Postern's server once to bring it up to date")
                }
            }
            return PosternStore(database: database, sqlite: database)
        } catch {
            throw error.storeError
        }
    }

    /// Closes the database after what is running has ended. Blocks for that time: not for the cooperative pool.
    package func close() throws(StoreError) {
        do throws(SQLFailure) { try sqlite.close() } catch { throw error.storeError }
    }

    /// Copies the database as it is now to `path`, beside running readers and writers, and checks the copy. Never overwrites.
    package func backup(to path: String) async throws(StoreError) {
        do throws(SQLFailure) { try await sqlite.backup(to: path) } catch { throw error.storeError }
    }

    // MARK: For the tables

    func commit(_ transaction: SQLTransaction) async throws(StoreError) {
        do throws(SQLFailure) { try await database.commit(transaction) } catch { throw error.storeError }
    }

    /// False when the guard of step 0 did not hold.
    func commitIfPresent(_ transaction: SQLTransaction) async throws(StoreError) -> Bool {
        do throws(SQLFailure) {
            try await database.commit(transaction)
            return true
        } catch .guardFailed(step: 0) {
            return false
        } catch {
            throw error.storeError
        }
    }

    func all<Value>(
        _ statement: SQLStatement, _ decode: (inout SQLRowReader) throws(SQLFailure) -> Value
    ) async throws(StoreError) -> [Value] {
        do throws(SQLFailure) {
            return try Self.decoded(try await database.rows(statement), decode)
        } catch {
            throw error.storeError
        }
    }

    func first<Value>(
        _ statement: SQLStatement, _ decode: (inout SQLRowReader) throws(SQLFailure) -> Value
    ) async throws(StoreError) -> Value? {
        try await all(statement, decode).first
    }

    /// The rows of several statements in one snapshot.
    func each<Value>(
        _ statements: [SQLStatement], _ decode: (inout SQLRowReader) throws(SQLFailure) -> Value
    ) async throws(StoreError) -> [[Value]] {
        do throws(SQLFailure) {
            var results: [[Value]] = []
            for rows in try await database.read(statements) { results.append(try Self.decoded(rows, decode)) }
            return results
        } catch {
            throw error.storeError
        }
    }

    private static func decoded<Value>(
        _ rows: [SQLRow], _ decode: (inout SQLRowReader) throws(SQLFailure) -> Value
    ) throws(SQLFailure) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(rows.count)
        for row in rows {
            var reader = SQLRowReader(row)
            values.append(try decode(&reader))
        }
        return values
    }
}
