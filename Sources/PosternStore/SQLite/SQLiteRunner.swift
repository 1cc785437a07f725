import Foundation
import GRDB

/// Runs our statements on a connection of GRDB's, with prepared statements that stay with the connection.
enum SQLiteRunner {
    static func rows(_ statement: SQLStatement, on connection: Database) throws -> [SQLRow] {
        let prepared = try connection.cachedStatement(sql: statement.sql)
        let cursor = try Row.fetchCursor(prepared, arguments: arguments(statement))
        let width = prepared.columnCount
        var rows: [SQLRow] = []
        while let row = try cursor.next() {
            rows.append(SQLRow((0..<width).map { value(row[$0]) }))
        }
        return rows
    }

    /// Applies the steps; the caller undoes what a failed one leaves.
    static func apply(_ transaction: SQLTransaction, on connection: Database) throws(SQLFailure) {
        for (index, step) in transaction.steps.enumerated() {
            do {
                try connection.cachedStatement(sql: step.statement.sql).execute(arguments: arguments(step.statement))
            } catch {
                throw failure(error, step: index)
            }
            if let expected = step.expectedRows, connection.changesCount != expected { throw .guardFailed(step: index) }
        }
    }

    /// How the message of a full disk begins.
    static let diskFull = "the disk is full, nothing was written"

    static func failure(_ error: any Error, step: Int = 0) -> SQLFailure {
        guard let error = error as? DatabaseError else { return .unavailable("\(error)") }
        let message = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
        return switch error.resultCode {
        case .SQLITE_CONSTRAINT:
            switch error.extendedResultCode {
            case .SQLITE_CONSTRAINT_PRIMARYKEY, .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_ROWID: .duplicate(step: step, detail: message)
            default: .invalid(message)
            }
        case .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_RANGE, .SQLITE_TOOBIG: .invalid(message)
        case .SQLITE_FULL: .unavailable("\(diskFull): \(message)")
        case .SQLITE_BUSY, .SQLITE_LOCKED: .unavailable("another process keeps the database locked: \(message)")
        default: .unavailable(message)
        }
    }

    private static func arguments(_ statement: SQLStatement) -> StatementArguments {
        StatementArguments(statement.values.map(databaseValue))
    }

    private static func databaseValue(_ value: SQLValue) -> DatabaseValue {
        switch value {
        case .null: .null
        case .integer(let integer): integer.databaseValue
        case .text(let text): text.databaseValue
        case .blob(let bytes): Data(bytes).databaseValue
        }
    }

    private static func value(_ value: DatabaseValue) -> SQLValue {
        switch value.storage {
        case .null: .null
        case .int64(let integer): .integer(integer)
        // We store no fractions; a sum of SQLite's that overflowed would be one.
        case .double(let number): .text("\(number)")
        case .string(let text): .text(text)
        case .blob(let data): .blob(Array(data))
        }
    }
}
