import ManagedAgentsAPI
import PosternCore
import PosternJSON
import PosternTelemetry

/// Everything that the routes call.
package struct ServerServices: Sendable {
    package var agents: AgentService
    package var environments: EnvironmentService
    package var keys: KeyService
    package var sessions: SessionService
    package var work: WorkService
    package var tunnels: TunnelService
    package var edges: EdgeService
    /// What `GET /v1/models` answers; usually the model provider's own list.
    package var models: @Sendable () async throws(ModelError) -> [JSONObject]
    /// For the gauges of `/metrics`.
    package var figures: any FigureStore
    package var metrics: MetricsRegistry
    /// Whether the server can do its work now, for `/readyz`; the text says what is missing.
    package var notReady: @Sendable () async -> String?

    package init(
        agents: AgentService, environments: EnvironmentService, keys: KeyService, sessions: SessionService, work: WorkService,
        tunnels: TunnelService, edges: EdgeService, models: @escaping @Sendable () async throws(ModelError) -> [JSONObject], figures: any FigureStore,
        metrics: MetricsRegistry = MetricsRegistry(),
        notReady: @escaping @Sendable () async -> String? = { nil }
    ) {
        self.agents = agents
        self.environments = environments
        self.keys = keys
        self.sessions = sessions
        self.work = work
        self.tunnels = tunnels
        self.edges = edges
        self.models = models
        self.figures = figures
        self.metrics = metrics
        self.notReady = notReady
    }
}
