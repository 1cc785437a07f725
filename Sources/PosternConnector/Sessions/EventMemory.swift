import Synchronization

/// Ids of events that callers were shown, so that nobody resumes a stream by an id that another one was shown: servers look events up by their
/// ids alone. Bounded; what is forgotten, as all is when the connector ends, is not resumed.
final class EventMemory: Sendable {
    /// Sessions that are remembered at one time, and ids of each: the last ones.
    static let mostSessions = 512
    static let mostIDs = 2_048

    private struct Key: Hashable {
        var caller: CallerSubject
        var session: [UInt8]?
    }

    private struct Ring {
        var ids: Set<Int> = []
        var order: [Int] = []
        var next = 0
        var used = 0

        mutating func add(_ id: Int) {
            guard ids.insert(id).inserted else { return }
            guard order.count == EventMemory.mostIDs else { return order.append(id) }
            ids.remove(order[next])
            order[next] = id
            next = (next + 1) % order.count
        }
    }

    private let state = Mutex<(clock: Int, rings: [Key: Ring])>((0, [:]))

    func saw(_ ids: [[UInt8]], caller: CallerSubject, session: [UInt8]?) {
        let key = Key(caller: caller, session: session)
        let hashes = ids.map(Self.hash)
        state.withLock { state in
            state.clock += 1
            if state.rings[key] == nil, state.rings.count >= Self.mostSessions,
                let oldest = state.rings.min(by: { $0.value.used < $1.value.used })?.key
            {
                state.rings[oldest] = nil
            }
            state.rings[key, default: Ring()].used = state.clock
            for hash in hashes { state.rings[key]?.add(hash) }
        }
    }

    func knows(_ id: [UInt8], caller: CallerSubject, session: [UInt8]?) -> Bool {
        let hash = Self.hash(id)
        return state.withLock { $0.rings[Key(caller: caller, session: session)]?.ids.contains(hash) ?? false }
    }

    /// Keyed by the process: nobody outside can look for two ids with one hash.
    private static func hash(_ id: [UInt8]) -> Int { id.hashValue }
}
