import Synchronization

/// A value that somebody waits for and that comes once: the first one counts, also when it comes before anybody waits.
package final class Pending<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case waited(CheckedContinuation<Value, Never>)
        case done(Value)
    }

    private let state = Mutex(State.empty)

    package init() {}

    /// Gives the value, unless there is one.
    package func resolve(_ value: Value) {
        let waiter: CheckedContinuation<Value, Never>? = state.withLock { state in
            switch state {
            case .done: return nil
            case .empty:
                state = .done(value)
                return nil
            case .waited(let waiter):
                state = .done(value)
                return waiter
            }
        }
        waiter?.resume(returning: value)
    }

    /// Waits for the value; where the task is cancelled first, `onCancel` is it. To be called once.
    package func value(onCancel: Value) async -> Value {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let value: Value? = state.withLock { state in
                    if case .done(let value) = state { return value }
                    state = .waited(continuation)
                    return nil
                }
                if let value { continuation.resume(returning: value) }
            }
        } onCancel: {
            resolve(onCancel)
        }
    }
}
