import ManagedAgentsAPI
import PosternTelemetry
import Synchronization

/// What a worker counts of its own work, for Prometheus. `docs/metrics.md` lists the series.
///
/// A label's value is a word of a fixed list or a name that the operator of the perimeter chose (a redaction rule, a layer): never a session,
/// a host, a path or anything else that comes from a model.
package final class WorkerMetrics: Sendable {
    /// How a call ended.
    enum CallOutcome: String, Sendable, CaseIterable {
        case succeeded
        case failed
        case timedOut = "timed_out"
        /// Cancelled, or cut short by the end of the worker or the session.
        case cancelled
        /// Not run: the policy denies it, or nobody approved it.
        case refused
        /// Not run again after a restart.
        case unknown
    }

    /// What the worker does about its queue.
    enum PollState: String, Sendable, CaseIterable {
        case polling
        /// Waiting before the next poll: the queue was empty, or a poll has failed.
        case waiting
        /// As many sessions are served as may be.
        case full
        case stopped
    }

    enum PollOutcome: String, Sendable {
        case item, empty, failed
    }

    package let registry: MetricsRegistry
    private let collectors = Mutex<[@Sendable () async -> Void]>([])

    let sessions: Gauge
    let sessionsStarted: Counter
    private let frozen: Gauge
    let sandboxes: Gauge
    let sandboxStarts: Counter
    let sandboxStartDurations: Histogram
    let resultBytes: Counter
    private let results: Counter
    let toolCallDurations: Histogram
    private let approvalsOpen: Gauge
    private let dayBytes: Gauge
    private let sessionsEnded: Counter
    private let toolCalls: Counter
    private let polls: Counter
    private let pollState: Gauge
    private let lastPoll: Gauge
    private let audit: AuditMetrics

    package init(_ registry: MetricsRegistry = MetricsRegistry()) {
        self.registry = registry
        sessions = registry.gauge("postern_worker_sessions", help: "Sessions that are claimed and served now.")
        sessionsStarted = registry.counter("postern_worker_sessions_total", help: "Sessions taken up, resumed ones included.")
        sessionsEnded = registry.counter(
            "postern_worker_sessions_ended_total", help: "Sessions given back or over, by reason.", labels: ["reason"])
        frozen = registry.gauge("postern_worker_sessions_frozen", help: "Sessions served now that an order to freeze covers.")
        sandboxes = registry.gauge("postern_worker_sandboxes", help: "Sandboxes that run now, warm ones included.")
        sandboxStarts = registry.counter("postern_worker_sandbox_starts_total", help: "Starts of sandboxes by outcome.", labels: ["outcome"])
        sandboxStartDurations = registry.histogram("postern_worker_sandbox_start_seconds", help: "Duration of successful starts of sandboxes.")
        toolCalls = registry.counter("postern_worker_tool_calls_total", help: "Tool calls by tool and outcome.", labels: ["tool", "outcome"])
        toolCallDurations = registry.histogram(
            "postern_worker_tool_call_seconds", help: "Duration of tool calls that were run, by tool.", labels: ["tool"])
        results = registry.counter("postern_worker_results_total", help: "Results that the control plane has accepted.")
        resultBytes = registry.counter("postern_worker_result_bytes_total", help: "Bytes of accepted results: what left through the gate.")
        approvalsOpen = registry.gauge("postern_worker_approvals_open", help: "Questions that wait for somebody inside the perimeter.")
        dayBytes = registry.gauge(
            "postern_worker_day_bytes", help: "Bytes that have left on this day of UTC, by door: what day budgets count.", labels: ["door"])
        polls = registry.counter("postern_worker_polls_total", help: "Polls of the queue by outcome.", labels: ["outcome"])
        pollState = registry.gauge("postern_worker_poll_state", help: "1 for what the worker does about its queue now.", labels: ["state"])
        lastPoll = registry.gauge(
            "postern_worker_last_poll_timestamp_seconds", help: "When the control plane last answered a poll, in seconds since the epoch.")
        audit = AuditMetrics(registry)
    }

    /// What the audit log is to tell.
    var auditObserver: AuditMetrics { audit }

    /// Has `collect` bring gauges up to date whenever the metrics are read.
    func onRead(_ collect: @escaping @Sendable () async -> Void) { collectors.withLock { $0.append(collect) } }

    /// The present values in Prometheus's text format.
    package func rendered() async -> String {
        for collect in collectors.withLock({ $0 }) { await collect() }
        return registry.rendered()
    }

    // MARK: What happens

    /// The name of a tool as a label: those of the toolset by name, what a model or an agent's author calls theirs not.
    static func label(tool: String) -> String { SessionRunner.tools.contains(tool) ? tool : "other" }

    func began() {
        sessionsStarted.increment()
        sessions.increment()
    }

    func ended(_ end: SessionRunner.End) {
        sessions.decrement()
        sessionsEnded.increment(labels: [end.label])
    }

    /// - Parameter duration: `nil` for a call that was not run.
    func called(_ tool: String, _ outcome: CallOutcome, duration: Duration? = nil) {
        let tool = Self.label(tool: tool)
        toolCalls.increment(labels: [tool, outcome.rawValue])
        if let duration { toolCallDurations.observe(duration, labels: [tool]) }
    }

    func polled(_ outcome: PollOutcome, at time: Timestamp) {
        polls.increment(labels: [outcome.rawValue])
        if outcome != .failed { lastPoll.set(Double(time.microseconds) / 1_000_000) }
    }

    /// A result was accepted.
    func posted(bytes: Int) {
        results.increment()
        resultBytes.increment(by: Double(bytes))
    }

    func set(approvalsOpen: Int, frozen: Int, resultDayBytes: Int, egressDayBytes: Int) {
        self.approvalsOpen.set(Double(approvalsOpen))
        self.frozen.set(Double(frozen))
        dayBytes.set(Double(resultDayBytes), labels: ["result"])
        dayBytes.set(Double(egressDayBytes), labels: ["egress"])
    }

    func set(_ state: PollState) {
        for one in PollState.allCases { pollState.set(one == state ? 1 : 0, labels: [one.rawValue]) }
    }
}

extension SessionRunner.End {
    /// A word of a fixed list.
    fileprivate var label: String {
        switch self {
        case .idle: "idle"
        case .sessionEnded: "session_ended"
        case .drained: "drained"
        case .leaseLost: "lease_lost"
        case .stopped: "stopped"
        case .failed: "failed"
        }
    }
}
