import ManagedAgentsAPI
import PosternCore

/// Puts a `SELECT` together from the parts that a filter asks for. The text depends on the shape of the filter only, never on values,
/// so that prepared statements are reused.
struct SQLQuery {
    private var sql: String
    private var values: [SQLValue]
    private var hasCondition = false

    init(_ select: String) {
        sql = select
        values = []
    }

    mutating func `where`(_ condition: String, _ values: SQLValue...) {
        sql += hasCondition ? " AND " : " WHERE "
        hasCondition = true
        sql += condition
        self.values += values
    }

    /// Nothing when `accepted` is empty. Values come sorted so that equal filters make equal statements.
    mutating func `where`(_ column: String, isOneOf accepted: some Sequence<String>) {
        let accepted = accepted.sorted()
        guard let first = accepted.first else { return }
        guard accepted.count > 1 else { return self.where("\(column) = ?", .text(first)) }
        self.where("\(column) IN (\(accepted.map { _ in "?" }.joined(separator: ", ")))")
        values += accepted.map(SQLValue.text)
    }

    mutating func `where`(_ column: String, in range: TimeRange) {
        for (operation, bound) in [(">", range.after), (">=", range.atOrAfter), ("<", range.before), ("<=", range.atOrBefore)] {
            if let bound { self.where("\(column) \(operation) ?", .integer(bound.microseconds)) }
        }
    }

    /// The statement with an order and a bound. Names in `order` are sorted all in the same direction.
    func statement(order: [String], ascending: Bool, limit: Int) -> SQLStatement {
        let names = order.map { $0 + (ascending ? " ASC" : " DESC") }.joined(separator: ", ")
        return SQLStatement("\(sql) ORDER BY \(names) LIMIT ?", values + [SQLValue(limit)])
    }
}
