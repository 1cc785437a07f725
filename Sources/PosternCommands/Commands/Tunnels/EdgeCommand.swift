import ArgumentParser
import Logging
import ManagedAgentsClient
import NIOCore
import PosternEdge
import PosternTelemetry
import PosternTunnelWire
import ServiceLifecycle

/// `postern edge`
struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge", abstract: "Run an edge: the public rendezvous of tunnels, which relays what it cannot read.",
        discussion: """
            Connectors dial it and hold legs open; clients reach a tunnel by CONNECT with an API key, or by the tunnel's own host names where the tunnel
            allows that. It has no store, and no key that opens a call; it asks the control plane with an API key of the role "edge".

            Example: postern edge --listen 0.0.0.0:443 --domain tunnel.example.com --tls-cert edge.pem --tls-key edge.key \\
                       --control-plane https://postern.example.com --edge-key-file edge-api.key
            """)

    @Option(name: .long, help: "Address and port; port 0 takes a free one.")
    var listen = "0.0.0.0:443"

    @Option(name: .long, help: "The edge's own name, below which the tunnels' domains are.")
    var domain: String

    @Option(name: .long, help: "PEM file with the certificate of that name and its chain.")
    var tlsCert: String

    @Option(name: .long, help: "PEM file with the certificate's key.")
    var tlsKey: String

    @Option(name: .long, help: "Base URL of the control plane.")
    var controlPlane: String

    @Option(name: .long, help: "File with an API key of the role \"edge\" on its first line.")
    var edgeKeyFile: String

    @Option(name: .long, help: "PEM file of further certificate authorities for the control plane.")
    var caFile: String?

    @Option(name: .long, help: "The edge's name among those of the control plane; the domain where none is given.")
    var name: String?

    @Option(name: .long, help: "Where GET /metrics is answered: HOST:PORT of loopback, or a unix socket's absolute path.")
    var metricsListen: String?

    @OptionGroup var logging: TunnelLogOptions

    func run() async throws {
        SecretHandover.harden()
        RelayHeap.keepSomeFree()
        let address = try ListenAddress(listen)
        guard let own = HostName.canonical(domain) else { throw ConfigurationError("--domain \(domain) is no host name") }
        let metricsAddress = try metricsListen.map { text throws(ConfigurationError) in try MetricsAddress(text) }
        let logger = try logging.logger("edge")
        let settings = EdgeSettings(
            host: address.host, port: address.port, domain: own, certificate: Array(try TextFile.read(tlsCert).utf8),
            key: Array(try TextFile.read(tlsKey).utf8))
        let key = try TextFile.readSecret(edgeKeyFile)
        let transport: AsyncHTTPTransport
        do {
            transport = try .toControlPlane(try BaseURL(controlPlane), caFile: caFile, proxy: nil)
        } catch {
            throw CommandError(.configuration, "--control-plane: \(error)")
        }
        let registry = MetricsRegistry()
        ProcessMetrics.register(registry)
        let directory = ControlPlaneDirectory(
            client: ManagedAgentsClient(transport: transport, credential: Secret(key)), edge: name ?? own)
        let edge = Edge(settings, directory: directory, metrics: EdgeMetrics(registry), logger: logger)
        var services: [any Service] = []
        if let metricsAddress {
            let server = MetricsServer(address: metricsAddress, metrics: { registry.rendered() }, logger: logger)
            try server.prepare()
            services.append(server)
        }
        services.append(EdgeService(edge: edge, address: address, domain: own))
        do {
            try await Services.run(services, listen: address, logger: logger, maximumShutdown: .seconds(28))
        } catch {
            await transport.shutdown()
            throw error
        }
        await transport.shutdown()
    }
}

/// The edge as a service of the group.
private struct EdgeService: Service {
    let edge: Edge
    let address: ListenAddress
    let domain: String

    func run() async throws {
        let (edge, address, domain) = (edge, address, domain)
        try await withGracefulShutdownHandler {
            try await edge.run { port in Terminal().print("The edge of \(domain) is listening on \(address.url(scheme: "https", port: port))") }
        } onGracefulShutdown: {
            edge.drain()
        }
    }
}

/// How an edge and a connector log.
struct TunnelLogOptions: ParsableArguments {
    @Option(name: .long, help: "Form of the log: text or json.")
    var logFormat = "json"

    @Option(name: .long, help: "Least level that is logged: trace, debug, info, notice, warning, error, critical.")
    var logLevel = "info"

    func logger(_ label: String) throws(ConfigurationError) -> Logger {
        guard let format = LogFormat(rawValue: logFormat) else { throw ConfigurationError("--log-format: \(logFormat) is not known") }
        guard let level = Logger.Level(rawValue: logLevel) else { throw ConfigurationError("--log-level: \(logLevel) is not known") }
        return LogWriter(format: format, level: level).logger(label)
    }
}
