import PosternCore
import PosternTelemetry
import Synchronization

/// Gauges of what the store holds. They are read when somebody asks for the metrics, at most once in five seconds whoever asks; while the store cannot be
/// read they stay as they were, and its failures are counted elsewhere.
final class StoreGauges: Sendable {
    private static let life = Duration.seconds(5)

    private let store: any FigureStore
    private let queue: Gauge
    private let sessions: Gauge
    private let readAt = Mutex<ContinuousClock.Instant?>(nil)

    init(_ store: any FigureStore, _ metrics: MetricsRegistry) {
        self.store = store
        queue = metrics.gauge(
            "postern_work_items", help: "Work items: queued and not handed out, pending (handed out, not acknowledged), leased.", labels: ["state"])
        sessions = metrics.gauge(
            "postern_sessions", help: "Sessions that are not archived, by status. One that has ended by itself counts as idle.", labels: ["status"])
    }

    func refresh() async {
        let isDue = readAt.withLock { readAt in
            let now = ContinuousClock.now
            if let last = readAt, now - last < Self.life { return false }
            readAt = now
            return true
        }
        guard isDue, let figures = try? await store.figures() else { return }
        queue.set(Double(figures.queued), labels: ["queued"])
        queue.set(Double(figures.pending), labels: ["pending"])
        queue.set(Double(figures.leased), labels: ["leased"])
        for (status, count) in figures.sessions { sessions.set(Double(count), labels: [status.rawValue]) }
    }
}
