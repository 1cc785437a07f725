import FoundationEssentials
import PosternAudit
import PosternGate
import PosternTelemetry
import PosternTunnelWire

/// What a connector counts of its own work, for Prometheus. `docs/metrics.md` lists the series.
///
/// A label's value is a word of a fixed list or a name in the connector's document (a route, a rule of its policy): never a caller, an edge, an
/// upstream, a tool or anything else that comes with a call.
package final class ConnectorMetrics: Sendable {
    /// What became of a changed document.
    package enum Reload: String, Sendable {
        case inForce = "in_force"
        /// In force, but for a part that the log names.
        case partly
        case refused
    }

    private let legs: Gauge
    private let legStarts: Counter
    private let legEnds: Counter
    private let legFailures: Counter
    private let running: Gauge
    private let calls: Counter
    private let refusals: Counter
    private let policyRefusals: Counter
    private let bytes: Counter
    private let upstreamTimes: Histogram
    private let hiddenTools: Counter
    private let changedTools: Counter
    private let redactions: Counter
    private let servers: Gauge
    private let serverStarts: Counter
    private let reloads: Counter
    private let refusesAll: Gauge
    private let cuts: Counter
    private let renewals: Counter
    private let tokenKeyFailures: Counter
    private let auditRecords: Counter
    private let auditFailures: Counter
    private let registry: MetricsRegistry

    package init(_ registry: MetricsRegistry) {
        self.registry = registry
        legs = registry.gauge("postern_connector_legs", help: "Legs that stand.")
        legStarts = registry.counter("postern_connector_leg_starts_total", help: "Legs that an edge has taken: after the first ones, reconnects.")
        legEnds = registry.counter("postern_connector_leg_ends_total", help: "Legs that ended, for whatever reason.")
        legFailures = registry.counter(
            "postern_connector_leg_failures_total", help: "Legs that could not be opened, by the edge's reason or as unreachable.", labels: ["reason"]
        )
        running = registry.gauge("postern_connector_running_calls", help: "Calls that run now, by route.", labels: ["route"])
        calls = registry.counter(
            "postern_connector_calls_total", help: "Calls that were let through and have ended, by route and outcome.", labels: ["route", "outcome"])
        refusals = registry.counter(
            "postern_connector_refusals_total", help: "Calls and handshakes that were refused before anything went upstream, by route and reason.",
            labels: ["route", "reason"])
        policyRefusals = registry.counter(
            "postern_connector_policy_refusals_total", help: "What policies refuse, or would, by route, rule and mode.",
            labels: ["route", "rule", "mode"])
        bytes = registry.counter(
            "postern_connector_bytes_total", help: "Bytes of bodies, by route and direction.", labels: ["route", "direction"])
        upstreamTimes = registry.histogram(
            "postern_connector_upstream_seconds", help: "From the beginning of a call to the head of its upstream's answer, by route.",
            labels: ["route"])
        hiddenTools = registry.counter(
            "postern_connector_hidden_tools_total", help: "Tools that policies left out of lists, or would have.", labels: ["route"])
        changedTools = registry.counter(
            "postern_connector_changed_tools_total", help: "Pinned tools whose definition was seen to have changed.", labels: ["route"])
        redactions = registry.counter(
            "postern_connector_redactions_total", help: "Findings of redaction in answers, by route, rule and action.",
            labels: ["route", "rule", "action"])
        servers = registry.gauge("postern_connector_servers", help: "Stdio servers that run now, by route.", labels: ["route"])
        serverStarts = registry.counter("postern_connector_server_starts_total", help: "Stdio servers that were started.", labels: ["route"])
        reloads = registry.counter(
            "postern_connector_reloads_total", help: "Changes of the document or its files, by what became of them.", labels: ["result"])
        refusesAll = registry.gauge(
            "postern_connector_registrations_refuse", help: "1 while calls are refused for what the log of registrations says, else 0.")
        cuts = registry.counter(
            "postern_connector_cuts_total", help: "Connections cut because the document, or the log of registrations, does not let them go on.")
        renewals = registry.counter(
            "postern_connector_renewals_total", help: "Times that a caller proved itself anew for a call that runs.", labels: ["route"])
        tokenKeyFailures = registry.counter(
            "postern_connector_token_key_failures_total", help: "Times that the keys of the issuer of a route's tokens did not come.", labels: ["route"])
        auditRecords = registry.counter(
            "postern_connector_audit_records_total", help: "Records given to the audit log by kind, folded ones included.", labels: ["kind"])
        auditFailures = registry.counter(
            "postern_connector_audit_failures_total", help: "Records that the audit log could not take; their calls are refused.")
    }

    /// Adds what is asked for when the metrics are read.
    package func follow(_ connector: Connector, now: @escaping @Sendable () -> Date = { Date() }) {
        registry.gauge("postern_connector_legs_wanted", help: "Legs that the document asks for.") { [weak connector] in
            Double(connector?.legsWanted ?? 0)
        }
        registry.gauge(
            "postern_connector_certificate_seconds_left", help: "Seconds until a certificate ends; below 0 it has.", labels: ["certificate"]
        ) { [weak connector] in connector?.certificates.map { ([$0.name], $0.expires.timeIntervalSince(now())) } ?? [] }
    }

    /// What the audit log is to tell.
    package func audited(_ record: AuditRecord, _ fate: AuditFate) {
        guard fate != .failed else { return auditFailures.increment() }
        auditRecords.increment(labels: [record.kind.name])
    }

    package func reloaded(_ result: Reload) { reloads.increment(labels: [result.rawValue]) }

    /// Takes one event into account.
    package func take(_ event: ConnectorEvent) {
        switch event {
        case .legStands:
            legs.increment()
            legStarts.increment()
        case .legEnded:
            legs.decrement()
            legEnds.increment()
        case .legRefused(_, let refusal, _): legFailures.increment(labels: [refusal.reason.rawValue])
        case .legFailed: legFailures.increment(labels: ["unreachable"])
        case .called(let route, _): running.increment(labels: [route])
        case .ended(let route, let end): take(end, route)
        case .refused(let route, let error):
            refusals.increment(labels: [route ?? "", error.code])
            if case .policy(let refusal) = error, let route { policyRefusals.increment(labels: [route, refusal.rule, "enforce"]) }
        case .wouldRefuse(let route, let refusal): policyRefusals.increment(labels: [route, refusal.rule, "dry_run"])
        case .toolChanged(let route, _): changedTools.increment(labels: [route])
        case .child(let route, _, .started):
            servers.increment(labels: [route])
            serverStarts.increment(labels: [route])
        case .child(let route, _, .ended): servers.decrement(labels: [route])
        case .registration(.refusing): refusesAll.set(1)
        case .registration(.resumed): refusesAll.set(0)
        case .reloaded(_, let count, _), .cut(let count): cuts.increment(by: Double(count))
        case .renewed(let route): renewals.increment(labels: [route])
        case .tokenKeys(let route, .some): tokenKeyFailures.increment(labels: [route])
        case .failed, .outlived, .child, .registration, .news, .certificateUnused, .tokenKeys: break
        }
    }

    private func take(_ end: CallEnd, _ route: String) {
        running.decrement(labels: [route])
        calls.increment(labels: [route, end.error?.code ?? "completed"])
        bytes.increment(by: Double(end.sent), labels: [route, "sent"])
        bytes.increment(by: Double(end.received), labels: [route, "received"])
        if let time = end.answeredAfter { upstreamTimes.observe(time, labels: [route]) }
        if end.hidden > 0 { hiddenTools.increment(by: Double(end.hidden), labels: [route]) }
        for found in end.redacted {
            for (rule, count) in found.counts { redactions.increment(by: Double(count), labels: [route, rule, found.action.rawValue]) }
        }
    }
}
