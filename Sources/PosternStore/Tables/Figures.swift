import PosternCore

/// Counts over the whole store, each inside an index that holds what is counted and nothing else.
enum Figures {
    static let statement = SQLStatement(
        """
        SELECT
            (SELECT COUNT(*) FROM work_items WHERE state = 'queued' AND polled_at IS NULL),
            (SELECT COUNT(*) FROM work_items WHERE state = 'queued' AND polled_at IS NOT NULL),
            (SELECT COUNT(*) FROM work_items WHERE lease_expires_at IS NOT NULL),
            (SELECT COUNT(*) FROM sessions WHERE archived_at IS NULL),
            (SELECT COUNT(*) FROM sessions WHERE status IN ('running', 'rescheduling') AND status = 'running'),
            (SELECT COUNT(*) FROM sessions WHERE status IN ('running', 'rescheduling') AND status = 'rescheduling')
        """)

    static func decode(_ row: inout SQLRowReader) throws(SQLFailure) -> StoreFigures {
        let (queued, pending, leased) = (try row.integer(), try row.integer(), try row.integer())
        let (open, running, rescheduling) = (try row.integer(), try row.integer(), try row.integer())
        return StoreFigures(
            queued: queued, pending: pending, leased: leased,
            sessions: [.idle: open - running - rescheduling, .running: running, .rescheduling: rescheduling])
    }
}

extension PosternStore: FigureStore {
    package func figures() async throws(StoreError) -> StoreFigures {
        guard let figures = try await first(Figures.statement, Figures.decode) else { throw .invalid("the store counts nothing") }
        return figures
    }
}
