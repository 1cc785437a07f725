import ManagedAgentsAPI
import Synchronization

/// Leased work items as they were read or written within the last second. A worker's result is authorised by its lease several times on its way;
/// each look at the database costs two changes of thread, which together were more than the tool call itself.
///
/// What this process writes is seen at once: every change of an item passes `note` or `forget`, and an older revision never replaces a newer one.
/// What another process writes is seen when the second is over.
///
/// A lease that has ended leaves a trace: the least revision that is still believed. A read that was under way meanwhile comes back with an older
/// one and is turned away. The second counts from the begin of a read, so a read that outlasts the trace is too old to be answered anyway. The
/// trace itself is never an answer: another control-plane node may have leased the item since.
final class RecentWork: Sendable {
    private struct Entry {
        /// `nil` for the trace of an item that is not leased, or not there.
        var work: WorkRecord?
        /// Older revisions are not believed.
        var leastRevision: Int
        /// The record held then, or later.
        var asOf: Timestamp
        var notedAt: Timestamp
    }
    private struct State {
        var bySession: [String: Entry] = [:]
        var sessions: [[UInt8]: String] = [:]
        var sweptAt: Timestamp?
    }
    private let state = Mutex(State())
    private static let life = Duration.seconds(1)

    /// How many sessions are known or leave a trace. At most those of the last two seconds.
    var count: Int { state.withLock { $0.bySession.count } }

    func record(session id: String, now: Timestamp) -> WorkRecord? {
        state.withLock { $0.bySession[id].flatMap { now - $0.asOf < Self.life ? $0.work : nil } }
    }

    func record(tokenHash: [UInt8], now: Timestamp) -> WorkRecord? {
        guard let id = state.withLock({ $0.sessions[tokenHash] }), let work = record(session: id, now: now), work.tokenHash == tokenHash else {
            return nil
        }
        return work
    }

    /// What `fetch` reads from the store, noted. A read that was overtaken by a change of this process is done once more.
    func noting(
        clock: () -> Timestamp, _ fetch: () async throws(StoreError) -> WorkRecord?
    ) async throws(StoreError) -> WorkRecord? {
        var asOf = clock()
        guard let work = try await fetch() else { return nil }
        if note(work, asOf: asOf, now: clock()) { return work }
        asOf = clock()
        guard let work = try await fetch() else { return nil }
        note(work, asOf: asOf, now: clock())
        return work
    }

    /// The item was read from the store, or has just been stored. Only leased ones are answered.
    /// - Parameter asOf: When the read or the write began.
    /// - Returns: Whether it was believed; false when something newer is known.
    @discardableResult func note(_ work: WorkRecord, asOf: Timestamp, now: Timestamp) -> Bool {
        state.withLock { state in
            Self.sweep(&state, now)
            if let known = state.bySession[work.sessionID], known.leastRevision > work.revision { return false }
            Self.remove(work.sessionID, from: &state)
            state.bySession[work.sessionID] = Entry(
                work: work.isLeased ? work : nil, leastRevision: work.revision, asOf: asOf, notedAt: now)
            if work.isLeased, let hash = work.tokenHash { state.sessions[hash] = work.sessionID }
            return true
        }
    }

    /// The item is gone, or is not what was thought.
    /// - Parameter revision: The least one that is believed within the next second, where it is known: `.max` for an item that is gone.
    func forget(session id: String, below revision: Int = 0, now: Timestamp) {
        state.withLock { state in
            Self.sweep(&state, now)
            let least = max(revision, state.bySession[id]?.leastRevision ?? 0)
            Self.remove(id, from: &state)
            state.bySession[id] = Entry(work: nil, leastRevision: least, asOf: now, notedAt: now)
        }
    }

    private static func remove(_ id: String, from state: inout State) {
        guard let old = state.bySession.removeValue(forKey: id), let hash = old.work?.tokenHash else { return }
        if state.sessions[hash] == id { state.sessions.removeValue(forKey: hash) }
    }

    /// Once a second: what was noted more than a second ago answers nothing, and no read that it could turn away is young enough to matter.
    private static func sweep(_ state: inout State, _ now: Timestamp) {
        if let last = state.sweptAt, now >= last, now - last < life { return }
        state.sweptAt = now
        for (id, entry) in state.bySession where now - entry.notedAt >= life { remove(id, from: &state) }
    }
}
