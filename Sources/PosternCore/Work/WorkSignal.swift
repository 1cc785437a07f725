import Synchronization

/// Wakes polls that wait for work in an environment. A waiter remembers the count of arrivals that it saw before it looked at the queue; an
/// item that arrives between the look and the wait has raised the count, so the wait ends at once and nothing is missed.
final class WorkSignal: Sendable {
    private struct State {
        var arrivals: [String: Int] = [:]
        var nextWaiter = 0
        /// Environment → waiters.
        var waiters: [String: [Int: CheckedContinuation<Void, Never>]] = [:]
        /// Waiters cancelled before they were entered.
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    /// Something in the environment's queue can be taken: everybody looks, and the first to write has it.
    func notify(_ environmentID: String) {
        let woken = state.withLock { state in
            state.arrivals[environmentID, default: 0] += 1
            return state.waiters.removeValue(forKey: environmentID) ?? [:]
        }
        for continuation in woken.values { continuation.resume() }
    }

    /// The count to take before looking at the queue.
    func arrivals(_ environmentID: String) -> Int { state.withLock { $0.arrivals[environmentID, default: 0] } }

    /// Returns when something has arrived since `seen`, or on cancellation.
    func wait(_ environmentID: String, since seen: Int) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.cancelled.remove(id) != nil || state.arrivals[environmentID, default: 0] != seen { return true }
                    state.waiters[environmentID, default: [:]][id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
            // A cancellation after the wake has nobody left to find.
            _ = state.withLock { $0.cancelled.remove(id) }
        } onCancel: {
            let continuation = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard let continuation = state.waiters[environmentID]?.removeValue(forKey: id) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return continuation
            }
            continuation?.resume()
        }
    }
}
