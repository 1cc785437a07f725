import PosternPolicy
import Synchronization

/// That a connection to a destination may begin.
struct Admission: Sendable {
    /// What the policy says; it may deny where the session learns.
    var decision: NetworkDecision
    /// What holds against the destination, while no request has been read in its place; `nil` where the destination is allowed.
    var unread: UnreadRefusal?
}

/// The refusal of a destination whose first request is awaited. Either that request is refused, or this is recorded at the end of the
/// connection: never both, and never neither.
final class UnreadRefusal: Sendable {
    private let refusal: Mutex<CallRefusal?>

    init(_ refusal: CallRefusal) {
        self.refusal = Mutex(refusal)
    }

    /// The refusal, once.
    func take() -> CallRefusal? {
        refusal.withLock { refusal in
            defer { refusal = nil }
            return refusal
        }
    }
}
