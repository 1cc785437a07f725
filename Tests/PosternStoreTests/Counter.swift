import Synchronization

/// Counts from several tasks.
final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }

    /// The count with one more.
    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}
