import PosternSandbox
import Synchronization

/// A call that runs, and the two ways to end it early.
final class RunningCall: Sendable {
    private struct State {
        var cancel: (@Sendable () -> Void)?
        var isCancelled = false
        var isDropped = false
        var isAbandoned = false
    }

    private let state = Mutex(State())

    /// The result is of no use any more; nothing is sent.
    var isDropped: Bool { state.withLock { $0.isDropped } }

    /// Nobody knows what came of it: its intent stays in the journal without an outcome.
    var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    /// Sets what runs; cancelled at once if the end came first.
    func begin(_ work: Task<some Sendable, any Error>) {
        let cancel = { @Sendable in work.cancel() }
        let isCancelled = state.withLock { state in
            state.cancel = cancel
            return state.isCancelled
        }
        if isCancelled { cancel() }
    }

    /// Ends what runs because this worker serves the session no longer.
    func abandon() {
        state.withLock { $0.isAbandoned = true }
        cancel(answer: false)
    }

    /// Ends what runs. With `answer`, an error result is sent all the same.
    func cancel(answer: Bool) {
        state.withLock { state in
            state.isCancelled = true
            if !answer { state.isDropped = true }
            return state.cancel
        }?()
    }
}
