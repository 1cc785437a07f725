import PosternPolicy
import Synchronization

/// What is under way in a session, so that a policy that has become narrower cuts what it no longer allows.
final class LiveCalls: Sendable {
    struct Entry: Sendable {
        var request: NetworkRequest
        /// The address that was dialled; `nil` before, and behind a parent proxy.
        var address: IPAddress?
        /// The request that is under way, with the secrets in it; `nil` where nothing is filled in.
        var prepared: PreparedCall?
        /// Ends it at once.
        var cut: @Sendable () -> Void
    }

    private struct State {
        var next = 0
        var entries: [Int: Entry] = [:]
        var isClosed = false
    }
    private let state = Mutex(State())

    /// Runs `body` with `entry` under watch.
    func watching<Result: Sendable>(_ entry: Entry, _ body: () async throws -> Result) async rethrows -> Result {
        let id = state.withLock { state in
            defer { state.next += 1 }
            state.entries[state.next] = entry
            return state.next
        }
        // A cut that came before the entry stood here has not seen it.
        if state.withLock({ $0.isClosed }) { entry.cut() }
        defer { state.withLock { $0.entries[id] = nil } }
        return try await body()
    }

    /// Cuts what `policy` does not allow; how many that were.
    @discardableResult
    func cut(by policy: NetworkPolicy) -> Int {
        let entries = state.withLock { Array($0.entries.values) }
        let refused = entries.filter { entry in
            policy.decide(entry.request).verdict == .deny || entry.address.map { policy.addresses.refusal(of: $0) != nil } ?? false
        }
        for entry in refused { entry.cut() }
        return refused.count
    }

    /// Cuts what carries secrets that may not go there any more; how many that were.
    @discardableResult
    func cut(by secrets: [BoundSecret]) -> Int {
        let entries = state.withLock { Array($0.entries.values) }
        let refused = entries.filter { $0.prepared?.holds(under: secrets) == false }
        for entry in refused { entry.cut() }
        return refused.count
    }

    /// Cuts everything, now and later.
    func cutAll() {
        let entries = state.withLock { state in
            state.isClosed = true
            return Array(state.entries.values)
        }
        for entry in entries { entry.cut() }
    }
}
