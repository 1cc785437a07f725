import NIOCore
import Synchronization

/// The calls that run, for an end that waits for theirs.
package final class RunningCalls: Sendable {
    private struct State {
        var count = 0
        var isClosed = false
        var waiting: [AsyncStream<Void>.Continuation] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Counts a call; `false` once no further ones are taken.
    package func enter() -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.count += 1
            return true
        }
    }

    /// A call that was counted has ended.
    package func leave() {
        let told = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            state.count -= 1
            guard state.count == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiting in told { waiting.finish() }
    }

    /// Takes no further calls.
    package func close() { state.withLock { $0.isClosed = true } }

    /// Returns when no call runs, after `time`, or when the task is cancelled.
    package func ended(within time: TimeAmount) async {
        let (ends, end) = AsyncStream<Void>.makeStream()
        let isOver = state.withLock { state in
            guard state.count > 0 else { return true }
            state.waiting.append(end)
            return false
        }
        guard !isOver else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in ends {} }
            group.addTask { try? await Task.sleep(for: .nanoseconds(time.nanoseconds)) }
            await group.next()
            group.cancelAll()
        }
    }
}
