/// How much of a log one read brings: it ends with the row that reaches either bound, so it always goes on by at least one row and never holds
/// much more than the bytes that were asked for and one event.
package struct ReadLimit: Sendable, Hashable, ExpressibleByIntegerLiteral {
    /// At most so many rows.
    package var rows: Int
    /// Bytes of events after which no further row is read.
    package var bytes: Int

    /// What one page of a list may hold; a single event may be larger, then it is the page.
    package static let pageBytes = 8 << 20

    package init(rows: Int, bytes: Int = ReadLimit.pageBytes) {
        self.rows = Swift.max(0, rows)
        self.bytes = bytes
    }

    package init(integerLiteral rows: Int) { self.init(rows: rows) }

    /// Everything, for those who check a store.
    package static let everything = ReadLimit(rows: .max, bytes: .max)

    /// Whether the log may go on after these rows.
    package func isReached(by read: [EventRow]) -> Bool { read.count >= rows || read.reduce(0) { $0 + $1.bytes.count } >= bytes }

    /// The rows up to the one that reaches a bound; for stores that have them all at hand.
    package func prefix(of rows: some Sequence<EventRow>) -> [EventRow] {
        var kept: [EventRow] = []
        var size = 0
        for row in rows {
            guard kept.count < self.rows, size < bytes else { break }
            kept.append(row)
            size += row.bytes.count
        }
        return kept
    }
}
