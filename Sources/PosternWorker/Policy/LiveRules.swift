import PosternPolicy
import Synchronization

/// The rules of a session that is being served. They are set once, before anything runs, and become narrower while it lives.
package final class LiveRules: Sendable {
    private let state = Mutex<SessionPolicy?>(nil)

    package init() {}

    /// `nil` until the session's rules are known; nothing may run before.
    package var current: SessionPolicy? { state.withLock { $0 } }

    func set(_ policy: SessionPolicy) { state.withLock { $0 = policy } }

    /// Narrows what holds; the policy before and the one after, or `nil` where nothing changed.
    func narrow(by fragment: PolicyFragment) -> (before: Policy, after: SessionPolicy)? {
        state.withLock { state in
            guard var policy = state else { return nil }
            let before = policy.policy
            guard policy.narrow(by: fragment) else { return nil }
            state = policy
            return (before, policy)
        }
    }
}
