import AsyncHTTPClient
import Logging
import PosternCore
import PosternEgress
import PosternModels
import PosternRuntime
import PosternServer
import PosternStore
import PosternTelemetry
import ServiceLifecycle

/// The composition root of `serve`: the only place that knows which store, which model and which server are at work.
struct ControlPlane {
    private let settings: ServeSettings
    private let logs: LogWriter
    private let terminal = Terminal()

    init(_ settings: ServeSettings, logs: LogWriter) {
        self.settings = settings
        self.logs = logs
    }

    /// The database's file in a data folder.
    static func databasePath(_ dataFolder: String) -> String { dataFolder + "/postern.sqlite" }

    func run() async throws {
        let logger = logs.logger("serve")
        try TextFile.makeFolder(settings.dataFolder)
        let lock = try FolderLock(settings.dataFolder)
        defer { lock.release() }
        let metrics = MetricsRegistry()
        let store = try await opened(Self.databasePath(settings.dataFolder), StoreObserver(metrics))
        var configuration = try settings.model.httpClientConfiguration()
        let peer = ServicePeer(host: configuration.proxy?.host ?? settings.model.baseURL.host)
        configuration.http1_1ConnectionDebugInitializer = { peer.check($0) }
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            try await serve(store, client, metrics, logger)
        } catch {
            await close(store, client, logger)
            throw error
        }
        await close(store, client, logger)
        logger.info("stopped")
    }

    private func serve(_ store: PosternStore, _ client: HTTPClient, _ metrics: MetricsRegistry, _ logger: Logger) async throws {
        ProcessMetrics.register(metrics)
        let provider = MeasuredProvider(settings.model.makeProvider(client: client, logger: logs.logger("model")), metrics)
        let sealKey = try await SealKeyFile(folder: settings.dataFolder).prepare { () async throws(StoreError) in try await store.hasSealed() }
        let tunnels = TunnelService(store: store, credentials: SealedTunnelCredentials(key: sealKey), domain: settings.tunnelDomain)
        let dialled = DialledEdge(settings)
        let servers = TunnelledServers(tunnels: tunnels, settings: dialled.runtime, logger: logs.logger("mcp"))
        let engine = SessionEngine(store: store, provider: provider, servers: servers, limits: settings.limits, logger: logs.logger("engine"))
        let secrets = Secrets.sha256
        let work = WorkService(engine: engine, leaseSeconds: settings.leaseSeconds) { secrets.mintSessionsToken() }
        let keys = KeyService(store: store, secrets: secrets, revocations: Revocations()) { await work.endLeases(ofKey: $0) }
        try await AdminKey(keys: keys, folder: settings.dataFolder, terminal: terminal).prepare(given: settings.adminKey)
        let services = ServerServices(
            agents: AgentService(store: store, choosesGeo: settings.model.kind == .anthropic), environments: EnvironmentService(store: store),
            keys: keys, sessions: SessionService(engine: engine),
            work: work, tunnels: tunnels, edges: EdgeService(tunnels: tunnels, keys: keys, work: work),
            models: { () async throws(ModelError) in try await provider.models() }, figures: store, metrics: metrics,
            notReady: { await Self.storeProblem(store) })
        var configuration = ServerConfiguration(host: settings.listen.host, port: settings.listen.port)
        configuration.tls = settings.tls.map { .init(certificateFile: $0.certificate, keyFile: $0.key) }
        let server = try buildServer(configuration: configuration, services: services, logger: logs.logger("server")) { [settings, terminal] port in
            let url = settings.listen.url(scheme: settings.tls == nil ? "http" : "https", port: port)
            terminal.print("Postern is listening on \(url)")
            logger.info("listening", metadata: [LoggingKeys.address: "\(url)"])
        }
        // They stop in the reverse order: no request comes any more when the engine ends its turns.
        var running: [any Service] = [EngineService(engine: engine, servers: servers), server]
        if let edge = settings.edge {
            let keeper = try EdgeKeeper(edge, keys: keys, terminal: terminal, logger: logs.logger("edge-keeper"))
            dialled.found(keeper.own)
            running.append(try buildEdgeDoor(services: services, logger: logs.logger("server")) { port in keeper.setControlPlane(port: port) })
            running.append(keeper)
        }
        try await engine.resume()
        try await Services.run(running, listen: settings.listen, logger: logs.logger("lifecycle"), maximumShutdown: .seconds(28))
    }

    private func opened(_ path: String, _ observer: StoreObserver) async throws -> PosternStore {
        do {
            return try await PosternStore.open(path: path, observer: observer)
        } catch {
            throw CommandError(.failure, "the database \(path) cannot be opened: \(error.reason)")
        }
    }

    private func close(_ store: PosternStore, _ client: HTTPClient, _ logger: Logger) async {
        try? await client.shutdown()
        // Blocks for the last checkpoint; nothing else of this process is left to be held up.
        do { try store.close() } catch { logger.warning("the database was not closed in order", metadata: [LoggingKeys.error: "\(error.reason)"]) }
    }

    private static func storeProblem(_ store: PosternStore) async -> String? {
        do {
            _ = try await store.workspaces()
            return nil
        } catch {
            return "the store does not answer"
        }
    }
}

/// The engine as a service: it ends when the group is asked to stop.
private struct EngineService: Service {
    let engine: SessionEngine
    let servers: TunnelledServers

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await engine.run() }
        } catch {
            await servers.shutdown()
            throw error
        }
        await servers.shutdown()
    }
}

extension StoreError {
    /// For people.
    var reason: String {
        switch self {
        case .conflict: "somebody else wrote at the same time"
        case .duplicate(let field): "\(field) is taken"
        case .unavailable(let reason), .invalid(let reason): reason
        }
    }
}
