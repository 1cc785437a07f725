import NIOCore
import PosternGate

/// How a call that was let through has ended, for metrics.
package struct CallEnd: Sendable {
    /// `nil` where the caller got the whole answer.
    package var error: CallError?
    /// Bytes of the bodies, without framing.
    package var sent: Int
    package var received: Int
    /// Tools that the policy left out of the answer, or would have.
    package var hidden: Int
    /// What was found in the answer, by what was done with it: rules and how often.
    package var redacted: [(action: RedactionAction, counts: [String: Int])]
    /// From its beginning to the head of the upstream's answer; `nil` where there was none.
    package var answeredAfter: Duration?

    /// - Parameter start: when the call began.
    init(_ progress: CallProgress.State, error: CallError?, start: NIODeadline) {
        self.error = error
        sent = progress.sent
        received = progress.received
        hidden = progress.hidden
        redacted = progress.redacted
        answeredAfter = progress.answered.map { .nanoseconds(($0 - start).nanoseconds) }
    }
}
