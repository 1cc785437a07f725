import NIOCore
import PosternGate
import Synchronization

/// How far a call got: for whoever has to decide what the caller can still be told, and for the record of its outcome.
final class CallProgress: Sendable {
    struct State: Sendable {
        /// Of the upstream's answer, once its head goes to the caller.
        var status: Int?
        /// Whether its intent was recorded, so that the call has begun.
        var hasBegun = false
        /// When the head of the upstream's answer had come.
        var answered: NIODeadline?
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
        /// Why the connector has closed the upstream's connection itself: its end says nothing of the answer then.
        var cut: CallError?
        /// `nil` where there is no log.
        var content: CallContent?
    }
    private let state = Mutex(State())

    var now: State { state.withLock { $0 } }

    func begin(_ status: Int) { state.withLock { $0.status = status } }
    func begins() { state.withLock { $0.hasBegun = true } }
    func answered() { state.withLock { $0.answered = .now() } }
    func leaves() { state.withLock { $0.hasLeft = true } }
    func keep(_ content: CallContent?) { state.withLock { $0.content = content } }
    /// A part of the request's body has gone upstream.
    func sent(_ part: ByteBuffer) {
        state.withLock { state in
            state.sent += part.readableBytes
            return state.content
        }?.sent(part)
    }
    /// A part of the answer's body goes to the caller.
    func gave(_ part: ByteBuffer) { state.withLock { $0.content }?.gave(part) }
    func hid(_ tools: Int) { state.withLock { $0.hidden += tools } }
    func received(_ bytes: Int) { state.withLock { $0.received += bytes } }
    func redacted(_ found: [(action: RedactionAction, counts: [String: Int])]) { state.withLock { $0.redacted = found } }
    func uploaded() { state.withLock { $0.uploaded = .now() } }
    func cuts(_ cause: CallError) { state.withLock { $0.cut = cause } }
    func leaveAlone() { state.withLock { $0.isAlone = true } }
}
