import Synchronization

/// Joins what a leg tells with its entry, which is made after the leg.
final class StandingLeg: Sendable {
    private let state = Mutex<(entry: EdgeLeg?, isDraining: Bool)>((nil, false))

    func set(_ entry: EdgeLeg) {
        let drains = state.withLock { state in
            state.entry = entry
            return state.isDraining
        }
        if drains { entry.drain() }
    }

    /// The connector takes no further calls on it.
    func drain() {
        let entry = state.withLock { state in
            state.isDraining = true
            return state.entry
        }
        entry?.drain()
    }
}
