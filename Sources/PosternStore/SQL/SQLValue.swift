/// What a column holds or a placeholder is given: the types that every database of ours has.
package enum SQLValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])

    init(_ value: Int) { self = .integer(Int64(value)) }
    init(_ value: Int?) { self = value.map { .integer(Int64($0)) } ?? .null }
    init(_ value: String?) { self = value.map(SQLValue.text) ?? .null }
    init(_ value: [UInt8]?) { self = value.map(SQLValue.blob) ?? .null }
}

/// The columns of one row, in the order of the statement's `SELECT`.
package struct SQLRow: Sendable, Equatable {
    package var values: [SQLValue]
    package init(_ values: [SQLValue]) { self.values = values }
}

/// Reads a row column after column, in the order of its `SELECT`. A value of another type than asked for means that somebody else
/// wrote the database: it is an error, never a crash.
struct SQLRowReader {
    private let values: [SQLValue]
    private var index = 0

    init(_ row: SQLRow) { values = row.values }

    private mutating func take(_ kind: String) throws(SQLFailure) -> SQLValue {
        guard index < values.count else { throw .invalid("column \(index) (\(kind)) is missing") }
        defer { index += 1 }
        return values[index]
    }

    private func mismatch(_ kind: String) -> SQLFailure { .invalid("column \(index - 1) does not hold \(kind)") }

    mutating func optionalText() throws(SQLFailure) -> String? {
        switch try take("text") {
        case .text(let text): text
        case .null: nil
        default: throw mismatch("text")
        }
    }

    mutating func optionalInteger() throws(SQLFailure) -> Int64? {
        switch try take("an integer") {
        case .integer(let integer): integer
        case .null: nil
        default: throw mismatch("an integer")
        }
    }

    mutating func optionalBlob() throws(SQLFailure) -> [UInt8]? {
        switch try take("bytes") {
        case .blob(let bytes): bytes
        case .null: nil
        default: throw mismatch("bytes")
        }
    }

    mutating func text() throws(SQLFailure) -> String {
        guard let text = try optionalText() else { throw mismatch("text") }
        return text
    }

    mutating func integer() throws(SQLFailure) -> Int {
        guard let integer = try optionalInteger(), let value = Int(exactly: integer) else { throw mismatch("an integer") }
        return value
    }

    mutating func blob() throws(SQLFailure) -> [UInt8] {
        guard let bytes = try optionalBlob() else { throw mismatch("bytes") }
        return bytes
    }
}
