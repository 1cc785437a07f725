import PosternStore
import PosternTelemetry

extension StoreObserver {
    /// Counts what a store does.
    init(_ metrics: MetricsRegistry) {
        let durations = metrics.histogram(
            "postern_store_commit_seconds", help: "From a transaction's handing in to its being on the disk, in seconds.")
        let sizes = metrics.histogram(
            "postern_store_commit_transactions", help: "Transactions that shared one commit.", buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256])
        let failures = metrics.counter(
            "postern_store_failures_total",
            help: "Transactions and reads that did not happen. A conflict means that another writer was first, and is tried again.", labels: ["kind"])
        self.init(
            committed: { commit in
                sizes.observe(Double(commit.count))
                for duration in commit { durations.observe(duration) }
            }, failed: { failures.increment(labels: [$0.kind]) })
    }
}

extension SQLFailure {
    fileprivate var kind: String {
        switch self {
        case .guardFailed, .duplicate: "conflict"
        case .unavailable: "unavailable"
        case .invalid: "invalid"
        }
    }
}
