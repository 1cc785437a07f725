/// One statement with its values. Placeholders are `?`, one per value, in order; a driver that numbers them (`$1`) rewrites the text.
package struct SQLStatement: Sendable, Hashable {
    package var sql: String
    package var values: [SQLValue]
    /// Bytes of blobs after which no further row is read; nil for no bound. The row that reaches it is the last one.
    package var maximumBytes: Int?

    package init(_ sql: String, _ values: [SQLValue] = [], maximumBytes: Int? = nil) {
        self.sql = sql
        self.values = values
        self.maximumBytes = maximumBytes
    }
}

/// A transaction as a value: what is to be written and what must hold, so that a driver can queue it, batch it with others and run it
/// on a thread of its own. All steps happen, or none does.
package struct SQLTransaction: Sendable {
    package struct Step: Sendable {
        package var statement: SQLStatement
        /// The number of rows that the statement must affect; nil for any. Another number undoes the transaction: `SQLFailure.guardFailed`.
        package var expectedRows: Int?
    }

    package var steps: [Step] = []

    package init() {}
    package init(_ statements: SQLStatement...) { steps = statements.map { Step(statement: $0, expectedRows: nil) } }

    package mutating func run(_ statement: SQLStatement) { steps.append(Step(statement: statement, expectedRows: nil)) }

    /// Adds a statement that must affect exactly `rows` rows.
    package mutating func require(_ statement: SQLStatement, rows: Int = 1) {
        steps.append(Step(statement: statement, expectedRows: rows))
    }
}
