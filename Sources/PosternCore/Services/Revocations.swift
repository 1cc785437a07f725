import Synchronization

/// Whoever keeps something open on a credential's strength (a stream, a long poll) watches the credential here and is told the moment it ends.
package final class Revocations: Sendable {
    private struct State {
        var nextID = 0
        var watches: [String: [Int: @Sendable () -> Void]] = [:]
        /// Ended in this process's life, so that a watch that comes a moment too late is told as well.
        var ended: Set<String> = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Calls `action` once when the key ends; at once if it has ended already. The action must be quick.
    package func watch(_ keyID: String, _ action: @escaping @Sendable () -> Void) -> Watch {
        let id = state.withLock { state -> Int? in
            guard !state.ended.contains(keyID) else { return nil }
            state.nextID += 1
            state.watches[keyID, default: [:]][state.nextID] = action
            return state.nextID
        }
        guard let id else {
            action()
            return Watch {}
        }
        return Watch { [weak self] in self?.remove(id, keyID) }
    }

    /// Tells all who watch the key. Returns how many.
    @discardableResult
    package func end(_ keyID: String) -> Int {
        let watches = state.withLock { state in
            state.ended.insert(keyID)
            return state.watches.removeValue(forKey: keyID) ?? [:]
        }
        for action in watches.values { action() }
        return watches.count
    }

    /// Whether the key has ended in this process's life.
    package func hasEnded(_ keyID: String) -> Bool { state.withLock { $0.ended.contains(keyID) } }

    private func remove(_ id: Int, _ keyID: String) {
        state.withLock { state in
            state.watches[keyID]?.removeValue(forKey: id)
            if state.watches[keyID]?.isEmpty == true { state.watches.removeValue(forKey: keyID) }
        }
    }

    package struct Watch: Sendable {
        let stop: @Sendable () -> Void
        /// Stops watching; does nothing after the end.
        package func cancel() { stop() }
    }
}
