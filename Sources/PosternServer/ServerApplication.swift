import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import ManagedAgentsAPI
import NIOCore
import NIOSSL
import PosternCore
import PosternJSON
import PosternTelemetry
import ServiceLifecycle

/// Builds the HTTP server of the control plane. Run it in a service group, after the session engine; a graceful shutdown ends open streams and polls
/// first and lets other requests finish.
/// - Parameter onListening: Told the bound port, which differs from the configured one when that is 0.
/// - Throws: `ConfigurationRefusal` for an address that must not be served, or NIOSSL's error for files that hold no certificate or key.
package func buildServer(
    configuration: ServerConfiguration, services: ServerServices, logger: Logger,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) throws -> some ApplicationProtocol {
    try configuration.validate()
    let wheel = StreamWheel(turn: configuration.keepAlive)
    let table = makeRouteTable(configuration: configuration, services: services, wheel: wheel)
    let http1 = HTTPServerBuilder.http1(
        configuration: HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuard(stallTimeout: configuration.stallTimeout)],
            idleTimeout: TimeAmount(configuration.idleTimeout)))
    let keys = services.keys
    return Application(
        responder: APIResponder(table: table, services: services, configuration: configuration),
        server: try configuration.tls.map { try .tls(http1, tlsConfiguration: try $0.load()) } ?? http1,
        configuration: ApplicationConfiguration(
            address: .hostname(configuration.host, port: configuration.port),
            availableConnectionsDelegate: MaximumAvailableConnections(configuration.maximumConnections)),
        services: [wheel, KeyExpiry(keys: keys)],
        onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
        logger: logger)
}

/// The routes of edges alone, in plain HTTP on a free port of loopback: for the edge that the control plane has started itself, which need not know
/// the name in the server's certificate.
package func buildEdgeDoor(
    services: ServerServices, logger: Logger, onListening: @escaping @Sendable (_ port: Int) async -> Void
) throws -> some ApplicationProtocol {
    let configuration = ServerConfiguration(port: 0)
    // Its requests are not those of the server's clients.
    var services = services
    services.metrics = MetricsRegistry()
    let table = RouteTable(EdgeRoutes(edges: services.edges, revocations: services.keys.revocations).routes)
    return Application(
        responder: APIResponder(table: table, services: services, configuration: configuration),
        server: HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionGuard(stallTimeout: configuration.stallTimeout)],
                idleTimeout: TimeAmount(configuration.idleTimeout))),
        configuration: ApplicationConfiguration(address: .hostname(configuration.host, port: 0)),
        onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) }, logger: logger)
}

/// Every route of the server, for serving and for the document.
func makeRouteTable(configuration: ServerConfiguration, services: ServerServices, wheel: StreamWheel) -> RouteTable {
    let revocations = services.keys.revocations
    let slots = StreamSlots(
        maximum: configuration.maximumStreams, maximumPerHolder: configuration.maximumStreamsPerCredential,
        gauge: services.metrics.gauge("postern_event_streams", help: "Event streams open now."))
    let work = services.work
    let streams = EventStreams(slots: slots, wheel: wheel, revocations: revocations) { session, principal in
        // A store that cannot be read is no reason to cut a stream.
        (try? await work.isLeaseHeld(session: session, by: principal)) ?? true
    }
    let api =
        AgentRoutes(agents: services.agents).routes
        + EnvironmentRoutes(environments: services.environments, sessions: services.sessions, work: work).routes
        + WorkRoutes(work: work, environments: services.environments, revocations: revocations).routes
        + SessionRoutes(sessions: services.sessions, agents: services.agents, environments: services.environments).routes
        + EventRoutes(sessions: services.sessions, streams: streams, maximumEvents: configuration.maximumEventsPerRequest).routes
        + ModelRoutes(models: services.models).routes
        + KeyRoutes(keys: services.keys).routes
        + TunnelRoutes(tunnels: services.tunnels, edges: services.edges).routes
        + EdgeRoutes(edges: services.edges, revocations: revocations).routes
    let gauges = StoreGauges(services.figures, services.metrics)
    // The document describes itself, so it is made from the list of which it becomes a part.
    let undocumented = SystemRoutes(metrics: services.metrics, gauges: gauges, notReady: services.notReady, openAPI: { [] }).routes
    let document = OpenAPIDocument.make(api + undocumented).encoded
    return RouteTable(api + SystemRoutes(metrics: services.metrics, gauges: gauges, notReady: services.notReady, openAPI: { document }).routes)
}

/// Ends keys when their time is up.
private struct KeyExpiry: Service {
    let keys: KeyService
    func run() async throws {
        try await cancelWhenGracefulShutdown { try await keys.run() }
    }
}

extension ServerConfiguration.TLS {
    func load() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificateFile).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        return configuration
    }
}
