import PosternAudit
import PosternEgress
import PosternTelemetry

/// Counts what the audit log is told: decisions, refusals, redactions, secrets, layers. What is in the one is in the other.
struct AuditMetrics: Sendable {
    private let records: Counter
    private let failures: Counter
    private let layersMissing: Gauge
    private let egressCalls: Counter
    private let egressBytes: Counter
    private let egressRefusals: Counter
    private let statements: Counter
    private let secretUses: Counter
    private let budgets: Counter
    private let redactions: Counter
    private let approvals: Counter
    private let offloads: Counter
    private let offloadedBytes: Counter
    private let fileRefusals: Counter
    private let secretChanges: Counter
    private let findings: Counter

    init(_ registry: MetricsRegistry) {
        records = registry.counter(
            "postern_worker_audit_records_total", help: "Records given to the audit log by kind, folded ones included.", labels: ["kind"])
        failures = registry.counter("postern_worker_audit_failures_total", help: "Records that the audit log could not take; work stops then.")
        layersMissing = registry.gauge(
            "postern_worker_layer_missing", help: "1 for a layer of the sandbox that is not in force, 0 for one that is.", labels: ["layer"])
        egressCalls = registry.counter(
            "postern_worker_egress_calls_total", help: "Requests and connections that left through egress proxies, by outcome.",
            labels: ["outcome"])
        egressBytes = registry.counter(
            "postern_worker_egress_bytes_total", help: "Bytes through egress proxies, by direction.", labels: ["direction"])
        egressRefusals = registry.counter(
            "postern_worker_egress_refusals_total", help: "What egress proxies refused, by kind of reason.", labels: ["reason"])
        statements = registry.counter("postern_worker_statements_total", help: "Statements that left through PostgreSQL forwards.")
        secretUses = registry.counter("postern_worker_secret_uses_total", help: "Secrets that were put into requests.")
        budgets = registry.counter(
            "postern_worker_budgets_exhausted_total", help: "Results kept inside by a byte budget, by scope.", labels: ["scope"])
        redactions = registry.counter(
            "postern_worker_redactions_total", help: "Findings of redaction, by door, rule and action.", labels: ["door", "rule", "action"])
        approvals = registry.counter(
            "postern_worker_approvals_total", help: "Answers to what a policy asks, and calls that it denies, by subject.",
            labels: ["subject", "answer"])
        offloads = registry.counter("postern_worker_offloads_total", help: "Outputs that went to a file in the sandbox.")
        offloadedBytes = registry.counter("postern_worker_offloaded_bytes_total", help: "Bytes of outputs that went to a file in the sandbox.")
        fileRefusals = registry.counter(
            "postern_worker_file_refusals_total", help: "Calls of file tools that a rule refused, by operation and kind of rule.",
            labels: ["operation", "rule"])
        secretChanges = registry.counter(
            "postern_worker_secret_changes_total", help: "Secrets with a new value, or whose source failed, by what became of them.",
            labels: ["state"])
        findings = registry.counter(
            "postern_worker_workspace_findings_total", help: "What exit scans found in workspaces, by kind.", labels: ["kind"])
    }

    /// Takes one record with what became of it.
    func observe(_ record: AuditRecord, _ fate: AuditFate) {
        guard fate != .failed else { return failures.increment() }
        records.increment(labels: [record.kind.name])
        switch record.kind {
        case .workerStarted(let start):
            for layer in start.layers { layersMissing.set(0, labels: [layer]) }
        case .layerOff(let layer, _): layersMissing.set(1, labels: [layer])
        case .egressOutcome(let outcome):
            egressCalls.increment(labels: [outcome.error == nil ? "completed" : "failed"])
            egressBytes.increment(by: Double(outcome.bytesSent), labels: ["sent"])
            egressBytes.increment(by: Double(outcome.bytesReceived), labels: ["received"])
        case .egressRefused(let refusal): egressRefusals.increment(labels: [Self.reason(refusal.decision)])
        case .statement: statements.increment()
        case .secretUsed: secretUses.increment()
        case .budget(let state): budgets.increment(labels: [state.scope])
        case .redacted(let found):
            for (rule, count) in found.counts { redactions.increment(by: Double(count), labels: [found.door, rule, found.action]) }
        case .approval(let approval): approvals.increment(labels: [approval.subject, Self.answer(approval)])
        case .offloaded(let offload):
            offloads.increment()
            offloadedBytes.increment(by: Double(offload.bytes))
        case .fileDecision(let decision):
            // Of `files.hidden[3]` the list: which entry it was is in the audit.
            if !decision.isAllowed { fileRefusals.increment(labels: [decision.operation, String((decision.rule ?? "").prefix { $0 != "[" })]) }
        case .secretChanged(let change): secretChanges.increment(labels: [change.state.rawValue])
        case .workspaceScanned(let counts):
            for (kind, count) in counts { findings.increment(by: Double(count), labels: [kind]) }
        default: break
        }
    }

    /// The kind of a refusal, which its decision begins with.
    private static func reason(_ decision: String) -> String {
        EgressRefusal.Kind(rawValue: String(decision.prefix { $0 != ":" }))?.rawValue ?? "other"
    }

    private static func answer(_ approval: AuditRecord.Approval) -> String {
        switch approval.by {
        case "policy": "denied_by_policy"
        case "time-out": "timed_out"
        default: approval.isAllowed ? "allowed" : "denied"
        }
    }
}
