import PosternCore
import PosternJSON
import PosternTelemetry

/// Counts what goes through a model provider.
struct MeasuredProvider: ModelProvider {
    private let provider: any ModelProvider
    private let duration: Histogram
    private let requests: Counter
    private let tokens: Counter

    init(_ provider: any ModelProvider, _ metrics: MetricsRegistry) {
        self.provider = provider
        duration = metrics.histogram("postern_model_request_seconds", help: "Duration of model requests.")
        requests = metrics.counter("postern_model_requests_total", help: "Model requests by outcome.", labels: ["outcome"])
        tokens = metrics.counter("postern_model_tokens_total", help: "Tokens of model requests.", labels: ["kind"])
    }

    func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        let start = ContinuousClock.now
        do {
            let response = try await provider.respond(to: request, preview: preview)
            duration.observe(ContinuousClock.now - start)
            requests.increment(labels: ["ok"])
            let usage = response.usage
            for (kind, count) in [
                ("input", usage.input), ("output", usage.output), ("cache_read", usage.cacheRead),
                ("cache_creation", usage.cacheCreation5m + usage.cacheCreation1h),
            ] { tokens.increment(by: Double(count), labels: [kind]) }
            return response
        } catch {
            requests.increment(labels: [error.kind.rawValue])
            throw error
        }
    }

    func models() async throws(ModelError) -> [JSONObject] { try await provider.models() }

    func limits(of model: String) async throws(ModelError) -> ModelLimits { try await provider.limits(of: model) }

    func acceptsSystemMessages(_ model: String) async throws(ModelError) -> Bool { try await provider.acceptsSystemMessages(model) }
}
