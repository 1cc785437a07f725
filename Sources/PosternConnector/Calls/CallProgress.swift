import NIOCore
import PosternGate
import Synchronization

/// How far a call got: for whoever has to decide what the caller can still be told, and for the record of its outcome.
final class CallProgress: Sendable {
    struct State: Sendable {
        /// Of the upstream's answer, once its head goes to the caller.
        var status: Int?
        /// Whether a byte of the request may have gone upstream: what is refused after that may have run.
        var hasLeft = false
        /// Bytes of the bodies, without framing.
        var sent = 0
        var received = 0
        /// Tools that the policy of the route left out of the answer, or would have.
        var hidden = 0
        /// What was found in the answer, by what was done with it: rules and how often.
        var redacted: [(action: RedactionAction, counts: [String: Int])] = []
        /// When the whole request had gone upstream.
        var uploaded: NIODeadline?
        /// The caller went away, and the call goes on without it.
        var isAlone = false
    }
    private let state = Mutex(State())

    var now: State { state.withLock { $0 } }

    func begin(_ status: Int) { state.withLock { $0.status = status } }
    func leaves() { state.withLock { $0.hasLeft = true } }
    func sent(_ bytes: Int) { state.withLock { $0.sent += bytes } }
    func hid(_ tools: Int) { state.withLock { $0.hidden += tools } }
    func received(_ bytes: Int) { state.withLock { $0.received += bytes } }
    func redacted(_ found: [(action: RedactionAction, counts: [String: Int])]) { state.withLock { $0.redacted = found } }
    func uploaded() { state.withLock { $0.uploaded = .now() } }
    func leaveAlone() { state.withLock { $0.isAlone = true } }
}
