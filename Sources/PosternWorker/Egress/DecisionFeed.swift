import Synchronization

/// The decisions of all egress proxies of a worker, for whoever follows. Publishing never waits: a follower that is slow misses lines.
package final class DecisionFeed: Sendable {
    /// Followers at one time.
    static let most = 8

    /// One reader of the feed.
    package final class Follower: Sendable {
        let session: String?
        let learns: Bool
        /// Yields when there is something to take. For one reader.
        let wake: AsyncStream<Void>
        private let continuation: AsyncStream<Void>.Continuation
        private let backlog = Mutex(DecisionBacklog())

        init(session: String?, learns: Bool) {
            self.session = session
            self.learns = learns
            (wake, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        }

        func covers(_ session: String) -> Bool { self.session == nil || self.session == session }

        func offer(_ line: [UInt8]) {
            backlog.withLock { $0.append(line) }
            poke()
        }

        func poke() { continuation.yield() }

        func take() -> [UInt8] { backlog.withLock { $0.take() } }
    }

    private struct Proxy {
        var session: String
        var learns = false
        var setLearning: @Sendable (Bool) -> Void
    }

    private struct State {
        var next = 0
        var followers: [Int: Follower] = [:]
        var proxies: [Int: Proxy] = [:]
    }
    private let state = Mutex(State())
    private let tap: @Sendable (EgressDecision) -> Void

    /// - Parameter tap: is given every decision, in order; it must not wait.
    package init(tap: @escaping @Sendable (EgressDecision) -> Void = { _ in }) { self.tap = tap }

    func publish(_ decision: EgressDecision) {
        tap(decision)
        let followers = state.withLock { state in state.followers.values.filter { $0.covers(decision.session) } }
        guard !followers.isEmpty else { return }
        let line = LocalControlLine.encoded(decision.json)
        for follower in followers { follower.offer(line) }
    }

    // MARK: Followers

    /// Runs `body` with a follower of one session, or of all; `nil` when there are too many followers already.
    func following<Value: Sendable>(session: String?, learns: Bool, _ body: (Follower) async -> Value) async -> Value? {
        let follower = Follower(session: session, learns: learns)
        let id: Int? = state.withLock { state in
            guard state.followers.count < Self.most else { return nil }
            state.next += 1
            state.followers[state.next] = follower
            Self.settle(&state)
            return state.next
        }
        guard let id else { return nil }
        defer {
            state.withLock { state in
                state.followers[id] = nil
                Self.settle(&state)
            }
        }
        return await body(follower)
    }

    // MARK: Proxies

    /// A proxy begins to serve `session`; `setLearning` is called, in order and without waiting, whenever it is to begin or to end to learn.
    func enrol(session: String, setLearning: @escaping @Sendable (Bool) -> Void) -> Int {
        state.withLock { state in
            state.next += 1
            state.proxies[state.next] = Proxy(session: session, setLearning: setLearning)
            Self.settle(&state)
            return state.next
        }
    }

    func withdraw(_ proxy: Int) { state.withLock { $0.proxies[proxy] = nil } }

    /// A proxy learns for as long as somebody follows who does.
    private static func settle(_ state: inout State) {
        for (id, proxy) in state.proxies {
            let learns = state.followers.values.contains { $0.learns && $0.covers(proxy.session) }
            guard learns != proxy.learns else { continue }
            state.proxies[id]?.learns = learns
            proxy.setLearning(learns)
        }
    }
}
