import ManagedAgentsAPI
import PosternCore

/// SQL of `events` and `waiting_events`.
enum EventTable {
    static let columns = "e.sequence, e.event_id, e.view, e.type, e.processed_at, e.bytes"

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> EventRow {
        EventRow(
            sequence: try row.integer(), eventID: try row.text(), view: try row.name(EventRow.View.self), type: try row.text(),
            processedAt: try row.optionalTime(), bytes: try row.blob())
    }

    /// Whether the rows' sequences go on from `sequence` without a gap.
    static func follow(_ rows: [EventRow], _ sequence: Int) -> Bool {
        zip(rows, (sequence + 1)...).allSatisfy { $0.sequence == $1 }
    }

    /// Adds a row to the log. A received one waits until the processed row of the same event id comes.
    static func append(_ row: EventRow, session: String, to transaction: inout SQLTransaction) {
        transaction.run(
            SQLStatement(
                "INSERT INTO events (session_id, sequence, event_id, view, type, processed_at, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    .text(session), SQLValue(row.sequence), .text(row.eventID), .text(row.view.rawValue), .text(row.type),
                    SQLValue(row.processedAt), .blob(row.bytes),
                ]))
        switch row.view {
        case .received:
            transaction.run(
                SQLStatement(
                    "INSERT INTO waiting_events (session_id, event_id, sequence) VALUES (?, ?, ?)",
                    [.text(session), .text(row.eventID), SQLValue(row.sequence)]))
        case .processed:
            transaction.run(SQLStatement("DELETE FROM waiting_events WHERE session_id = ? AND event_id = ?", [.text(session), .text(row.eventID)]))
        case .hidden: break
        }
    }

    static func processed(session: String, _ filter: EventFilter, after: Int?, _ keyset: Keyset) -> SQLStatement {
        var query = SQLQuery("SELECT \(columns) FROM events e")
        query.where("e.session_id = ?", .text(session))
        if let after { query.where("e.sequence \(keyset.comparison) ?", SQLValue(after)) }
        query.where("e.view = 'processed'")
        query.where("e.type", isOneOf: filter.types)
        query.where("e.processed_at", in: filter.processedAt)
        return bounded(query.statement(order: ["e.sequence"], ascending: keyset.scansAscending, limit: keyset.scanLimit))
    }

    static func waiting(session: String, _ filter: EventFilter, after: Int?, _ keyset: Keyset) -> SQLStatement {
        var query = SQLQuery(
            "SELECT \(columns) FROM waiting_events w JOIN events e ON e.session_id = w.session_id AND e.sequence = w.sequence")
        query.where("w.session_id = ?", .text(session))
        if let after { query.where("w.sequence \(keyset.comparison) ?", SQLValue(after)) }
        query.where("e.type", isOneOf: filter.types)
        return bounded(query.statement(order: ["w.sequence"], ascending: keyset.scansAscending, limit: keyset.scanLimit))
    }

    private static func bounded(_ statement: SQLStatement) -> SQLStatement {
        SQLStatement(statement.sql, statement.values, maximumBytes: ReadLimit.pageBytes)
    }
}

extension PosternStore {
    package func rows(session: String, after sequence: Int, limit: ReadLimit) async throws(StoreError) -> [EventRow] {
        try await all(
            SQLStatement(
                "SELECT \(EventTable.columns) FROM events e WHERE e.session_id = ? AND e.sequence > ? ORDER BY e.sequence LIMIT ?",
                [.text(session), SQLValue(sequence), SQLValue(limit.rows)], maximumBytes: limit.bytes),
            EventTable.decode)
    }

    package func events(
        session: String, filter: EventFilter, order: SortOrder, from: PagePosition?, limit: Int
    ) async throws(StoreError) -> Page<EventRow> {
        let keyset = Keyset(order: order, from: from, limit: limit)
        let place = from.map { (isWaiting: $0.major != 0, sequence: Int($0.minor) ?? 0) }
        // The list is two runs: the processed rows, then the waiting ones. A scan may still have to see a run whole, start inside it, or
        // have it behind itself. Both are read in one snapshot, so that no event is missed while it moves from one to the other.
        var statements: [SQLStatement] = []
        if place?.isWaiting != true || !keyset.scansAscending {
            let after = place.flatMap { $0.isWaiting ? nil : $0.sequence }
            statements.append(EventTable.processed(session: session, filter, after: after, keyset))
        }
        let isWaitingBehind = place?.isWaiting == false && !keyset.scansAscending
        if filter.processedAt == TimeRange(), !isWaitingBehind {
            let after = place.flatMap { $0.isWaiting ? $0.sequence : nil }
            statements.append(EventTable.waiting(session: session, filter, after: after, keyset))
        }
        if statements.isEmpty { return Page(elements: []) }
        if !keyset.scansAscending { statements.reverse() }
        let limit = ReadLimit(rows: keyset.scanLimit)
        var scanned: [EventRow] = []
        // What a run left unread for its size comes before anything of the next run.
        for run in try await each(statements, EventTable.decode) where !limit.isReached(by: scanned) {
            scanned = limit.prefix(of: scanned + run)
        }
        return keyset.page(scanned, isCut: limit.isReached(by: scanned)) {
            PagePosition(major: $0.view == .processed ? 0 : 1, minor: String($0.sequence))
        }
    }
}
