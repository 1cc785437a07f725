import GRDB
import GRDBSQLite

/// Runs our statements on a connection of GRDB's, with prepared statements that stay with the connection.
///
/// Values are bound and columns read by SQLite's own functions: GRDB's general arguments and rows cost as much as the statement itself.
/// Callers are on the connection's queue, which GRDB hands out; that is what makes this safe.
enum SQLiteRunner {
    static func rows(_ statement: SQLStatement, on connection: Database) throws(SQLFailure) -> [SQLRow] {
        let prepared = try prepare(statement, on: connection)
        defer { release(prepared) }
        let width = sqlite3_column_count(prepared)
        var rows: [SQLRow] = []
        var room = statement.maximumBytes ?? .max
        while room > 0 {
            switch sqlite3_step(prepared) {
            case SQLITE_ROW:
                let row = (0..<width).map { value(prepared, $0) }
                for case .blob(let bytes) in row { room -= bytes.count }
                rows.append(SQLRow(row))
            case SQLITE_DONE: return rows
            default: throw failure(prepared, step: 0)
            }
        }
        return rows
    }

    /// Applies the steps; the caller undoes what a failed one leaves.
    static func apply(_ transaction: SQLTransaction, on connection: Database) throws(SQLFailure) {
        for (index, step) in transaction.steps.enumerated() {
            let prepared = try prepare(step.statement, on: connection)
            defer { release(prepared) }
            var code = sqlite3_step(prepared)
            while code == SQLITE_ROW { code = sqlite3_step(prepared) }
            guard code == SQLITE_DONE else { throw failure(prepared, step: index) }
            if let expected = step.expectedRows, Int(sqlite3_changes(sqlite3_db_handle(prepared))) != expected {
                throw .guardFailed(step: index)
            }
        }
    }

    /// A failure that GRDB reports.
    static func failure(_ error: any Error) -> SQLFailure {
        if let failure = error as? SQLFailure { return failure }
        guard let error = error as? DatabaseError else { return .unavailable("\(error)") }
        return failure(code: error.extendedResultCode.rawValue, message: error.message ?? "", step: 0)
    }

    // MARK: Statements

    private static func prepare(_ statement: SQLStatement, on connection: Database) throws(SQLFailure) -> OpaquePointer {
        let prepared: OpaquePointer
        do {
            prepared = try connection.cachedStatement(sql: statement.sql).sqliteStatement
        } catch {
            throw failure(error)
        }
        guard sqlite3_bind_parameter_count(prepared) == statement.values.count else {
            throw .invalid("\(statement.values.count) values for: \(statement.sql)")
        }
        for (index, value) in statement.values.enumerated() {
            guard bind(value, to: prepared, Int32(index + 1)) == SQLITE_OK else {
                defer { release(prepared) }
                throw failure(prepared, step: 0)
            }
        }
        return prepared
    }

    /// Tells SQLite to copy what it is given before the call returns.
    private static var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    private static func bind(_ value: SQLValue, to prepared: OpaquePointer, _ index: Int32) -> Int32 {
        switch value {
        case .null: return sqlite3_bind_null(prepared, index)
        case .integer(let integer): return sqlite3_bind_int64(prepared, index, integer)
        case .text(var text):
            return text.withUTF8 { bytes in
                // A null pointer would bind NULL.
                guard let start = bytes.baseAddress else { return sqlite3_bind_text(prepared, index, "", 0, copied) }
                return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                    sqlite3_bind_text64(prepared, index, $0, sqlite3_uint64(bytes.count), copied, UInt8(SQLITE_UTF8))
                }
            }
        case .blob(let blob):
            return blob.withUnsafeBytes { bytes in
                guard bytes.count > 0 else { return sqlite3_bind_zeroblob(prepared, index, 0) }
                return sqlite3_bind_blob64(prepared, index, bytes.baseAddress, sqlite3_uint64(bytes.count), copied)
            }
        }
    }

    private static func value(_ prepared: OpaquePointer, _ column: Int32) -> SQLValue {
        switch sqlite3_column_type(prepared, column) {
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(prepared, column))
        case SQLITE_NULL: return .null
        case SQLITE_BLOB:
            guard let start = sqlite3_column_blob(prepared, column) else { return .blob([]) }
            return .blob(Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(prepared, column)))))
        default:
            // Text, and a fraction as its text: we store none.
            guard let start = sqlite3_column_text(prepared, column) else { return .text("") }
            return .text(String(decoding: UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(prepared, column))), as: UTF8.self))
        }
    }

    /// Ends the statement's run, so that it holds neither a snapshot nor its values until it is used again.
    private static func release(_ prepared: OpaquePointer) {
        sqlite3_reset(prepared)
        sqlite3_clear_bindings(prepared)
    }

    // MARK: Failures

    /// How the message of a full disk begins.
    static let diskFull = "the disk is full, nothing was written"

    private static func failure(_ prepared: OpaquePointer, step: Int) -> SQLFailure {
        let connection = sqlite3_db_handle(prepared)
        let message = sqlite3_errmsg(connection).map { String(cString: $0) } ?? ""
        return failure(code: sqlite3_extended_errcode(connection), message: message, step: step)
    }

    private static func failure(code: Int32, message: String, step: Int) -> SQLFailure {
        switch ResultCode(rawValue: code).primaryResultCode {
        case .SQLITE_CONSTRAINT:
            switch ResultCode(rawValue: code) {
            case .SQLITE_CONSTRAINT_PRIMARYKEY, .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_ROWID: .duplicate(step: step, detail: message)
            default: .invalid(message)
            }
        case .SQLITE_ERROR, .SQLITE_MISMATCH, .SQLITE_RANGE, .SQLITE_TOOBIG: .invalid(message)
        case .SQLITE_FULL: .unavailable("\(diskFull): \(message)")
        case .SQLITE_BUSY, .SQLITE_LOCKED: .unavailable("another process keeps the database locked: \(message)")
        default: .unavailable("SQLite error \(code): \(message)")
        }
    }
}
