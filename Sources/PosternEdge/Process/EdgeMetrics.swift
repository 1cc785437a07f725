import PosternTelemetry

/// What an edge counts. Labels are kinds and reasons, never names of hosts or routes.
package struct EdgeMetrics: Sendable {
    let connections: Counter
    let calls: Counter
    let refusals: Counter
    let bytes: Counter
    let legs: Gauge
    let doubts: Counter
    let reports: Counter
    let directoryFailures: Counter

    package init(_ registry: MetricsRegistry) {
        connections = registry.counter("postern_edge_connections_total", help: "Connections that were accepted.")
        calls = registry.counter("postern_edge_calls_total", help: "Calls that reached a connector, by way in.", labels: ["way"])
        refusals = registry.counter(
            "postern_edge_refusals_total", help: "Connections, legs and calls that were refused, by reason.", labels: ["reason"])
        bytes = registry.counter("postern_edge_bytes_total", help: "Bytes relayed for calls.", labels: ["direction"])
        legs = registry.gauge("postern_edge_legs", help: "Legs that stand.")
        doubts = registry.counter(
            "postern_edge_doubted_keys_total", help: "Times that a connector's key was passed over, because callers did not believe who answered.")
        reports = registry.counter(
            "postern_edge_reports_total", help: "Inner handshakes that callers have reported as failed, by reason.", labels: ["reason"])
        directoryFailures = registry.counter("postern_edge_directory_failures_total", help: "Questions that the control plane did not answer.")
    }
}
