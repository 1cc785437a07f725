import PosternCore

/// A database as the tables see it. Two drivers are meant to implement it: SQLite here, PostgreSQL later.
package protocol SQLDatabase: Sendable {
    var dialect: SQLDialect { get }
    /// Runs the statements in one snapshot and returns the rows of each. Never waits for a writer.
    func read(_ statements: [SQLStatement]) async throws(SQLFailure) -> [[SQLRow]]
    /// Applies the transaction durably. When it returns, the change survives a crash of process and machine. A task that is cancelled
    /// while it waits still gets the transaction's true outcome.
    func commit(_ transaction: SQLTransaction) async throws(SQLFailure)
}

extension SQLDatabase {
    func rows(_ statement: SQLStatement) async throws(SQLFailure) -> [SQLRow] { try await read([statement]).first ?? [] }
    func row(_ statement: SQLStatement) async throws(SQLFailure) -> SQLRow? { try await rows(statement).first }
}

/// Why a statement or a transaction did not happen.
package enum SQLFailure: Error, Sendable, Equatable {
    /// A step affected another number of rows than it must; its index.
    case guardFailed(step: Int)
    /// A step broke a unique constraint; the database's own words name the columns or the index.
    case duplicate(step: Int, detail: String)
    /// Disk full, I/O error, locked by another process, closed.
    case unavailable(String)
    /// A statement the database does not take, or a row that makes no sense: a bug of ours or a foreign hand.
    case invalid(String)

    /// The failure as the ports say it, for callers to whom a broken unique constraint means that somebody else was first.
    var storeError: StoreError {
        switch self {
        case .guardFailed, .duplicate: .conflict
        case .unavailable(let message): .unavailable(message)
        case .invalid(let message): .invalid("the database refused a statement or holds an unexpected value: \(message)")
        }
    }
}
