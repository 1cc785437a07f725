import PosternCore

/// What a store tells of its work, for metrics. It is called on the thread that writes and must be quick.
package struct StoreObserver: Sendable {
    /// A commit is on the disk: how many transactions shared it, and how long each of them took since it was handed in.
    package var committed: @Sendable (_ durations: [Duration]) -> Void
    /// A transaction or a read did not happen.
    package var failed: @Sendable (SQLFailure) -> Void

    package init(
        committed: @escaping @Sendable (_ durations: [Duration]) -> Void = { _ in }, failed: @escaping @Sendable (SQLFailure) -> Void = { _ in }
    ) {
        self.committed = committed
        self.failed = failed
    }
}
