import ManagedAgentsAPI
import Synchronization

/// Leased work items as they were read or written within the last second. A worker's result is authorised by its lease several times on its way;
/// each look at the database costs two changes of thread, which together were more than the tool call itself.
///
/// What this process writes is seen at once: every change of an item passes `note` or `forget`, and an older revision never replaces a newer one.
/// What another process writes is seen when the second is over.
final class RecentWork: Sendable {
    private struct Entry {
        var work: WorkRecord
        var seenAt: Timestamp
    }
    private struct State {
        var bySession: [String: Entry] = [:]
        var sessions: [[UInt8]: String] = [:]
    }
    private let state = Mutex(State())
    private static let life = Duration.seconds(1)

    func record(session id: String, now: Timestamp) -> WorkRecord? {
        state.withLock { $0.bySession[id].flatMap { now - $0.seenAt < Self.life ? $0.work : nil } }
    }

    func record(tokenHash: [UInt8], now: Timestamp) -> WorkRecord? {
        guard let id = state.withLock({ $0.sessions[tokenHash] }), let work = record(session: id, now: now), work.tokenHash == tokenHash else {
            return nil
        }
        return work
    }

    /// The item was read from the store, or has just been stored. Only leased ones are kept.
    func note(_ work: WorkRecord, now: Timestamp) {
        state.withLock { state in
            if let known = state.bySession[work.sessionID]?.work, known.revision > work.revision { return }
            Self.remove(work.sessionID, from: &state)
            guard work.isLeased else { return }
            state.bySession[work.sessionID] = Entry(work: work, seenAt: now)
            if let hash = work.tokenHash { state.sessions[hash] = work.sessionID }
        }
    }

    /// The item is gone, or is not what was thought.
    func forget(session id: String) { state.withLock { Self.remove(id, from: &$0) } }

    private static func remove(_ id: String, from state: inout State) {
        guard let old = state.bySession.removeValue(forKey: id) else { return }
        if let hash = old.work.tokenHash { state.sessions.removeValue(forKey: hash) }
    }
}
