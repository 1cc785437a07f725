import Foundation
import GRDB

/// SQLite behind the SQL interface: write-ahead log, `synchronous=FULL` (a commit is on the disk when it returns), one writer with
/// group commit, and readers that run beside it.
///
/// Make it with `open(path:)`, stop it with `close()` or by letting go of it.
package final class SQLiteDatabase: SQLDatabase {
    package let dialect = SQLDialect.sqlite
    package let path: String
    private let pool: DatabasePool
    private let writer: SQLiteWriter
    private let observer: StoreObserver

    /// How long another process may keep the file locked, in seconds.
    private static let busySeconds = 5.0
    /// Pages in the log before they move into the database, 16 MiB: a larger log means fewer such moves for a busy server.
    private static let checkpointPages = 4096

    /// Opens the database at `path` and makes it if there is none, off the cooperative pool.
    ///
    /// - Parameters:
    ///   - reservesLog: for a server, which will fill the log anyway.
    ///   - observer: Told of commits and failures.
    static func open(path: String, reservesLog: Bool = false, observer: StoreObserver = StoreObserver()) async throws(SQLFailure) -> SQLiteDatabase {
        let answer: Result<SQLiteDatabase, SQLFailure> = await withUnsafeContinuation { continuation in
            DispatchQueue.global().async {
                do throws(SQLFailure) {
                    continuation.resume(returning: .success(try SQLiteDatabase(path: path, reservesLog: reservesLog, observer: observer)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try answer.get()
    }

    private init(path: String, reservesLog: Bool, observer: StoreObserver) throws(SQLFailure) {
        try SQLiteFiles.prepare(path)
        if reservesLog { SQLiteFiles.reserveLog(path, bytes: Self.checkpointPages * (4096 + 24)) }
        self.path = path
        self.observer = observer
        do {
            pool = try DatabasePool(path: path, configuration: Self.configuration)
            try pool.writeWithoutTransaction { connection in
                // GRDB chooses NORMAL with the write-ahead log, where a crash of the machine may lose commits.
                try connection.execute(sql: "PRAGMA synchronous = FULL")
                try connection.execute(sql: "PRAGMA wal_autocheckpoint = \(Self.checkpointPages)")
            }
        } catch {
            throw SQLiteRunner.failure(error)
        }
        writer = SQLiteWriter(pool, observer: observer)
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "postern.store"
        configuration.busyMode = .timeout(busySeconds)
        configuration.foreignKeysEnabled = true
        configuration.maximumReaderCount = 4
        configuration.qos = .userInitiated
        configuration.prepareDatabase { connection in
            try connection.execute(sql: "PRAGMA temp_store = MEMORY")
            try connection.execute(sql: "PRAGMA cache_size = -16384")
        }
        return configuration
    }

    package func commit(_ transaction: SQLTransaction) async throws(SQLFailure) { try await writer.commit(transaction) }

    package func read(_ statements: [SQLStatement]) async throws(SQLFailure) -> [[SQLRow]] {
        let answer = await withUnsafeContinuation { (continuation: UnsafeContinuation<Result<[[SQLRow]], SQLFailure>, Never>) in
            pool.asyncUnsafeRead { connection in
                continuation.resume(returning: Self.read(statements, connection))
            }
        }
        if case .failure(let failure) = answer { observer.failed(failure) }
        return try answer.get()
    }

    private static func read(_ statements: [SQLStatement], _ connection: Result<Database, any Error>) -> Result<[[SQLRow]], SQLFailure> {
        do {
            let connection = try connection.get()
            // One statement is a snapshot by itself.
            if statements.count == 1 { return .success([try SQLiteRunner.rows(statements[0], on: connection)]) }
            var results: [[SQLRow]] = []
            try connection.inTransaction(.deferred) {
                for statement in statements { results.append(try SQLiteRunner.rows(statement, on: connection)) }
                return .commit
            }
            return .success(results)
        } catch {
            return .failure(SQLiteRunner.failure(error))
        }
    }

    /// A setting (`PRAGMA`) of the connection that writes. Blocks.
    func writerSetting(_ name: String) throws -> String? {
        try pool.writeWithoutTransaction { try String.fetchOne($0, sql: "PRAGMA \(name)") }
    }

    /// Waits for what is running and closes every connection; later calls answer `unavailable`. Blocks.
    package func close() throws(SQLFailure) {
        do {
            try pool.close()
        } catch {
            throw SQLiteRunner.failure(error)
        }
    }

    /// Copies the database as it is now to a new file with mode 0600, while readers and writers go on.
    func backup(to target: String) async throws(SQLFailure) {
        try SQLiteFiles.makeNew(target)
        let answer: Result<Void, SQLFailure> = await withUnsafeContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { [pool] in
                do {
                    let copy = try DatabaseQueue(path: target)
                    try pool.backup(to: copy)
                    let findings = try copy.read { try String.fetchAll($0, sql: "PRAGMA quick_check") }
                    try copy.close()
                    guard findings == ["ok"] else {
                        throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the copy is damaged: \(findings.joined(separator: "; "))")
                    }
                    continuation.resume(returning: .success(()))
                } catch {
                    SQLiteFiles.remove(target)
                    continuation.resume(returning: .failure(SQLiteRunner.failure(error)))
                }
            }
        }
        try answer.get()
    }
}
