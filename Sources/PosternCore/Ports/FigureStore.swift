/// What operators watch of a whole store.
package struct StoreFigures: Sendable, Equatable {
    /// Work items that wait and are not handed out.
    package var queued: Int
    /// Work items that are handed out and not acknowledged.
    package var pending: Int
    /// Work items whose lease somebody holds.
    package var leased: Int
    /// Sessions that are not archived. One that ended by itself counts as idle: nothing happens in it.
    package var sessions: [SessionRecord.Status: Int]

    package init(queued: Int, pending: Int, leased: Int, sessions: [SessionRecord.Status: Int]) {
        self.queued = queued
        self.pending = pending
        self.leased = leased
        self.sessions = sessions
    }
}

package protocol FigureStore: Sendable {
    /// Counted over indexes of what is counted: the cost grows with neither logs nor archives.
    func figures() async throws(StoreError) -> StoreFigures
}
