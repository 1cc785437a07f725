import HTTPTypes
import ManagedAgentsAPI
import PosternJSON
import PosternTelemetry

/// What operators and tools ask for. `openAPI` is the document of the whole table, these routes included.
struct SystemRoutes {
    let metrics: MetricsRegistry
    let gauges: StoreGauges
    let notReady: @Sendable () async -> String?
    let openAPI: @Sendable () -> [UInt8]

    var routes: [Route] {
        let (metrics, gauges, notReady, openAPI) = (metrics, gauges, notReady, openAPI)
        return [
            Route(.get, "/healthz", .open, "Whether the process lives") { _ async throws(APIError) in .json(["status": "ok"] as JSONObject) },
            Route(.get, "/readyz", .open, "Whether the server can work") { _ async throws(APIError) in
                if let reason = await notReady() { throw APIError(503, .api, reason, shouldRetry: true, retryAfter: 1) }
                return .json(["status": "ready"] as JSONObject)
            },
            Route(.get, "/metrics", .metrics, "Figures in Prometheus text", produces: .text) { _ async throws(APIError) in
                await gauges.refresh()
                return .text(metrics.rendered(), contentType: MetricsRegistry.contentType)
            },
            Route(.get, "/openapi.json", .open, "This document") { _ async throws(APIError) in .json(openAPI(), headers: [:]) },
        ]
    }
}
