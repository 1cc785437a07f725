import Synchronization

/// Something beside the session's own run has failed and the session must end. Fires once; whoever listens later hears it too.
final class FailureSignal: Sendable {
    private struct State {
        var reason: String?
        var listener: (@Sendable (String) -> Void)?
    }
    private let state = Mutex(State())

    /// Why it has fired; `nil` when it has not.
    var reason: String? { state.withLock { $0.reason } }

    func fire(_ reason: String) {
        let listener = state.withLock { state -> (@Sendable (String) -> Void)? in
            guard state.reason == nil else { return nil }
            state.reason = reason
            return state.listener
        }
        listener?(reason)
    }

    func onFire(_ listener: @escaping @Sendable (String) -> Void) {
        let reason = state.withLock { state in
            state.listener = listener
            return state.reason
        }
        if let reason { listener(reason) }
    }
}
