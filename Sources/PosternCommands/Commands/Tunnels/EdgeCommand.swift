import ArgumentParser
import ManagedAgentsClient
import NIOCore
import PosternEdge
import PosternTLS
import PosternTelemetry
import PosternTunnelWire
import ServiceLifecycle

/// `postern edge`
struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge", abstract: "Run an edge: the public rendezvous of tunnels, which relays what it cannot read.",
        discussion: """
            Connectors dial it and hold legs open; clients reach a tunnel by CONNECT with a runtime certificate or an API key, or by the tunnel's own host
            names where the tunnel allows that. It has no store, and no key that opens a call; it asks the control plane with an API key of the role
            "edge". Before it takes a connection it gives up what a relay does not need, by a seccomp filter: it executes, writes and traces nothing.

            Example: postern edge --listen :443 --domain tunnel.example.com --tls-cert edge.pem --tls-key edge.key \\
                       --control-plane https://postern.example.com --edge-key-file edge-api.key
            """)

    @Option(name: .long, help: "Address and port; without an address every one of the machine's, IPv6 and IPv4. Port 0 takes a free one.")
    var listen = ":443"

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

    @Option(name: .long, help: "Seconds without a byte after which a call is ended.")
    var maxIdleSeconds = EdgeBounds().idleSeconds

    @Option(
        name: .long,
        help:
            "How connectors prove their keys: by the client certificate of TLS, \"certificate\", or also by a signed \"challenge\", where something ends TLS in front."
    )
    var legProof = "certificate"

    @Option(
        name: .long,
        help: "With challenge: PEM file with the certificates that whatever ends TLS shows to connectors. Left out: any that connectors believe.")
    var legTerminators: String?

    @OptionGroup var shares: EdgeShareOptions
    @OptionGroup var logging: TunnelLogOptions

    func run() async throws {
        SecretHandover.harden()
        RelayHeap.keepSomeFree()
        let address = try ListenAddress(listen, takesAll: true)
        guard let own = HostName.canonical(domain) else { throw ConfigurationError("--domain \(domain) is no host name") }
        let metricsAddress = try metricsListen.map { text throws(ConfigurationError) in try MetricsAddress(text) }
        let logger = try logging.logger("edge")
        var settings = EdgeSettings(
            host: address.host, port: address.port, domain: own, certificate: Array(try TextFile.read(tlsCert).utf8),
            key: Array(try TextFile.read(tlsKey).utf8))
        var bounds = EdgeBounds()
        bounds.shares = try shares.limits()
        guard EdgeBounds.idleSeconds.contains(maxIdleSeconds) else {
            throw ConfigurationError("--max-idle-seconds \(maxIdleSeconds): it must be from 10 to 86400")
        }
        bounds.idleSeconds = maxIdleSeconds
        bounds.legProof = try EdgeBounds.legProof(legProof, terminators: legTerminators, option: "--leg-proof")
        bounds.apply(to: &settings)
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
        let (ready, isReady) = AsyncStream<Void>.makeStream()
        if let metricsAddress {
            var server = MetricsServer(address: metricsAddress, metrics: { registry.rendered() }, logger: logger)
            server.onRunning = { isReady.finish() }
            try server.prepare()
            services.append(server)
        } else {
            isReady.finish()
        }
        services.append(EdgeService(edge: edge, address: address, domain: own, ready: ready))
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
    /// Ends when everything is there that the confined process could not make: the unix socket of the metrics.
    let ready: AsyncStream<Void>

    func run() async throws {
        for await _ in ready {}
        try EdgeConfinement.apply()
        let (edge, address, domain) = (edge, address, domain)
        try await withGracefulShutdownHandler {
            try await edge.run { port in Terminal().print("The edge of \(domain) is listening on \(address.url(scheme: "https", port: port))") }
        } onGracefulShutdown: {
            edge.drain()
        }
    }
}
