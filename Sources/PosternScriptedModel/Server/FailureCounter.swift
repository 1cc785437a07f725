import Synchronization

/// Counts how often a request with `!error S N` has failed: the one thing that the scripted model remembers. After the N failures the
/// request passes and is forgotten, so that the same script fails again in the next session. Bounded: the oldest entry goes first.
package final class FailureCounter: Sendable {
    private struct State {
        var failures: [UInt64: Int] = [:]
        var order: [UInt64] = []
    }

    private let state = Mutex(State())
    private let capacity: Int

    package init(capacity: Int = 4096) { self.capacity = capacity }

    /// Whether the request with this key is to fail once more.
    package func shouldFail(key: UInt64, times: Int) -> Bool {
        state.withLock { state in
            let count = state.failures[key] ?? 0
            guard count < times else {
                state.failures[key] = nil
                state.order.removeAll { $0 == key }
                return false
            }
            if count == 0 {
                if state.order.count >= capacity { state.failures[state.order.removeFirst()] = nil }
                state.order.append(key)
            }
            state.failures[key] = count + 1
            return true
        }
    }
}
