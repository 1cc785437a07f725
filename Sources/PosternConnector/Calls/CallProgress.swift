import Synchronization

/// How far a call got: for whoever has to decide what the caller can still be told, and for the record of its outcome.
final class CallProgress: Sendable {
    struct State: Sendable {
        /// Of the upstream's answer, once its head goes to the caller.
        var status: Int?
        /// Bytes of the bodies, without framing.
        var sent = 0
        var received = 0
    }
    private let state = Mutex(State())

    var now: State { state.withLock { $0 } }

    func begin(_ status: Int) { state.withLock { $0.status = status } }
    func sent(_ bytes: Int) { state.withLock { $0.sent += bytes } }
    func received(_ bytes: Int) { state.withLock { $0.received += bytes } }
}
