import Synchronization

/// How long a session that failed here keeps its place before it is given back, so that one that always fails is not claimed again and again.
final class SessionBackoff: Sendable {
    private let failures = Mutex<[String: Int]>([:])
    /// Sessions remembered; beyond that the memory begins anew, which costs a failing one a shorter wait.
    private static let capacity = 10_000
    private static let longest: Duration = .seconds(60)

    /// The wait after one more failure: none, then 1 s, 2 s and so on up to a minute.
    func failed(_ session: String) -> Duration {
        let count = failures.withLock { failures in
            if failures.count >= Self.capacity { failures = [:] }
            failures[session, default: 0] += 1
            return failures[session, default: 1]
        }
        guard count > 1 else { return .zero }
        return min(Self.longest, .seconds(1 << min(count - 2, 6)))
    }

    func succeeded(_ session: String) { failures.withLock { $0[session] = nil } }
}
