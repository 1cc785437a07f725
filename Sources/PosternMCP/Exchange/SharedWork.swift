import Synchronization

/// Work that all who want it at one time wait for together; it is cancelled when none waits any longer.
final class SharedWork<Value: Sendable>: Sendable {
    private struct State {
        var task: Task<Value, Never>?
        /// Who waits for it, by numbers of their own.
        var waiting: Set<Int> = []
        var lastWaiter = 0
    }

    private let state = Mutex(State())

    /// What the work that is under way comes to, or else `work`. It may have been cancelled by those that waited before.
    func value(_ work: @escaping @Sendable () async -> Value) async -> Value {
        let (task, waiter) = state.withLock { state in
            let task = state.task ?? Task { await work() }
            state.task = task
            state.lastWaiter += 1
            state.waiting.insert(state.lastWaiter)
            return (task, state.lastWaiter)
        }
        let value = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            let isLast = state.withLock { state in
                state.waiting.remove(waiter)
                return state.waiting.isEmpty
            }
            if isLast { task.cancel() }
        }
        state.withLock { state in
            state.waiting.remove(waiter)
            if state.task == task { state.task = nil }
        }
        return value
    }
}
