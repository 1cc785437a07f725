import ArgumentParser
import FoundationEssentials
import Logging
import ManagedAgentsAPI
import PosternAudit
import PosternConnector
import PosternEgress
import PosternGate
import PosternTelemetry
import PosternTunnelWire
import ServiceLifecycle

/// `postern connector run`
struct ConnectorRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Hold the tunnel open and serve its calls.",
        discussion: """
            SIGTERM and Ctrl-C let the calls that run end first. What changes in the document, or in a file that it names, is taken up within seconds,
            on SIGHUP at once: new calls go by it, calls that run go on unless it does not allow them any more. A document with an error is refused
            as a whole, and the log says where.

            Stdio servers of routes with "command" run in sandboxes of this machine, which needs bubblewrap.

            Example: postern connector run --config tunnel/connector.yaml
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    @Option(name: .long, help: "Where GET /metrics is answered: HOST:PORT of loopback, or a unix socket's absolute path. See docs/metrics.md.")
    var metricsListen: String?

    @OptionGroup var logging: TunnelLogOptions

    func run() async throws {
        SecretHandover.harden()
        RelayHeap.keepSomeFree()
        let logger = try logging.logger("connector")
        let metricsAddress = try metricsListen.map { text throws(ConfigurationError) in try MetricsAddress(text) }
        let registry = MetricsRegistry()
        ProcessMetrics.register(registry)
        let metrics = ConnectorMetrics(registry)
        var seen: [String: FileStamp?] = [:]
        let files = try ConnectorFiles(config: config, seen: &seen)
        let log = try files.auditPath(config: config).map { path throws(FileError) in
            var settings = AuditSettings()
            // Of one session many more calls may come than a worker runs; what a caller may ask for is not the log's to bound.
            settings.flood.burst = 1_000_000
            settings.flood.recordsPerSecond = 100_000
            settings.observe = { metrics.audited($0, $1) }
            return try AuditLog(path: path, key: try AuditKey.load(path: AuditKey.path(beside: path)), settings: settings)
        }
        let audit = log.map { log in
            ConnectorAudit(log, tunnelID: files.configuration.tunnel.id) { Timestamp.now().description }
        }
        let startsServers = files.configuration.routes.values.contains { $0.upstream.child != nil }
        let children = startsServers ? try await SandboxedChildren(own: files.own) : nil
        let book = try ConnectorBook.open(files.budgetsPath(config: config), now: Date())
        let watcher = try files.watcher(config: config, logger)
        let connector: Connector
        do {
            connector = try Connector(
                files.configuration, files.material, version: PosternVersion.text, resolve: SystemResolver.resolve, audit: audit, book: book,
                launcher: children, registrations: { watcher?.refusal() }, ofServer: { watcher?.refusal(ofServer: $0) }
            ) { event in
                switch event {
                case .legStands, .news: watcher?.nudge()
                default: break
                }
                metrics.take(event)
                Self.log(event, logger)
            }
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
        watcher?.onChange { [weak connector] in connector?.recheck() }
        metrics.follow(connector)
        do { try await connector.recordStart() } catch { throw CommandError(.failure, "\(error)") }
        let reloads = ConnectorReloads(
            config: config, connector: connector, started: files, children: children, watcher: watcher, seen: seen, metrics: metrics,
            logger: logger)
        var services: [any Service] = []
        if let metricsAddress {
            let server = MetricsServer(address: metricsAddress, metrics: { registry.rendered() }, logger: logger)
            try server.prepare()
            services.append(server)
        }
        if let watcher { services.append(RegistrationService(watcher: watcher)) }
        services += [ConnectorService(connector: connector), reloads]
        try await Services.run(services, logger: logger, maximumShutdown: .seconds(25))
        await children?.close()
        try await book.finish()
        await log?.finish()
    }

    /// Names of routes and reasons; nothing of a call's content.
    private static func log(_ event: ConnectorEvent, _ logger: Logger) {
        switch event {
        case .legStands(let index, let edge): logger.info("a leg stands", metadata: ["leg": "\(index)", "edge": "\(edge)"])
        case .legEnded(let index): logger.info("a leg ended", metadata: ["leg": "\(index)"])
        case .legRefused(let index, let refusal, let seconds):
            logger.error(
                "the edge refused a leg",
                metadata: ["leg": "\(index)", "refusal": "\(refusal.reason.rawValue)", "reason": "\(refusal)", "again_in": "\(Int(seconds)) s"])
        case .legFailed(let index, let edge, let reason, _):
            logger.warning("a leg could not be opened", metadata: ["leg": "\(index)", "edge": "\(edge)", "reason": "\(reason)"])
        case .reloaded(let number, let cut, let redials):
            logger.notice(
                "the changed configuration is in force",
                metadata: ["reading": "\(number)", "connections_cut": "\(cut)", "legs": "\(redials ? "dialled anew" : "kept")"])
        case .news: logger.debug("an edge says that there is news of the registrations")
        case .cut(let count):
            logger.warning("calls were cut: the authority of the certificate that they stand on was archived", metadata: ["connections": "\(count)"])
        case .certificateUnused: logger.notice("no connection stands on the former server certificate any more: its authority can be archived")
        case .called(let route, _): logger.debug("a call", metadata: ["route": "\(route)"])
        case .refused(let route, let error):
            logger.notice("a call was refused", metadata: ["route": "\(route ?? "")", "refusal": "\(error.code)", "reason": "\(error)"])
        case .ended(let route, _): logger.debug("a call has ended", metadata: ["route": "\(route)"])
        case .failed(let route, let error):
            logger.notice("a call failed", metadata: ["route": "\(route)", "refusal": "\(error.code)", "reason": "\(error)"])
        case .outlived(let route): logger.debug("a caller went away, and its call goes on", metadata: ["route": "\(route)"])
        case .renewed(let route): logger.debug("a call goes on under a newer proof of its caller", metadata: ["route": "\(route)"])
        case .wouldRefuse(let route, let refusal):
            logger.notice("a policy that only records would refuse a call", metadata: ["route": "\(route)", "rule": "\(refusal.rule)"])
        case .tokenKeys(let route, nil): logger.debug("the keys of the tokens' issuer are there", metadata: ["route": "\(route)"])
        case .tokenKeys(let route, let problem?):
            logger.warning("the keys of the tokens' issuer did not come", metadata: ["route": "\(route)", "reason": "\(problem)"])
        case .registration(let event): RegistrationEventLog.log(event, logger)
        case .toolChanged(let route, let tool):
            logger.error("the definition of a pinned tool has changed", metadata: ["route": "\(route)", "tool": "\(tool)"])
        case .child(let route, let number, let event):
            let place: Logger.Metadata = ["route": "\(route)", "child": "\(number)"]
            switch event {
            case .started: logger.info("a server was started", metadata: place)
            case .ended(let reason, let seconds):
                logger.notice("a server has ended", metadata: place.merging(["reason": "\(reason)", "after": "\(seconds) s"]) { $1 })
            case .said(let line): logger.notice("a server says", metadata: place.merging(["line": "\(line)"]) { $1 })
            case .strayed(let what): logger.debug("a server wrote what nobody reads", metadata: place.merging(["what": "\(what)"]) { $1 })
            }
        }
    }
}

/// The connector as a service of the group.
private struct ConnectorService: Service {
    let connector: Connector

    func run() async throws {
        let connector = connector
        await withGracefulShutdownHandler {
            await connector.run()
        } onGracefulShutdown: {
            Task { await connector.drain() }
        }
    }
}
