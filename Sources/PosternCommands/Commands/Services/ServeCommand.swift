import ArgumentParser
import Logging
import PosternTelemetry

/// `postern serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the control plane: API, agent loop and work queue.",
        discussion: """
            Listens on loopback with plain HTTP; other addresses need --tls-cert and --tls-key. The first start makes an admin key, prints it once and
            writes it to admin.key in the data folder. SIGTERM and Ctrl-C stop it gracefully; everything also survives a kill -9.

            Example: ANTHROPIC_API_KEY=… postern serve --data /var/lib/postern
                     postern serve --model-provider openai --model-base-url http://127.0.0.1:11434/v1
            """)

    @OptionGroup var file: ConfigFileOption
    @OptionGroup var flags: ServeFlags

    func run() async throws {
        let environment = try SecretHandover.take(ProcessEnvironment.current)
        SecretHandover.harden()
        let configuration = try Configuration(
            .serve, flags: flags.flags, environment: environment, file: file.file(.serve, environment: environment))
        let settings = try ServeSettings(configuration, environment: environment)
        let logs = settings.logs
        let logger = logs.logger("serve")
        for warning in configuration.warnings { logger.warning("\(warning)") }
        try await ControlPlane(settings, logs: logs).run()
    }
}

struct ServeFlags: ParsableArguments, SettingFlags {
    @Option(.listen) var listen: String?
    @Option(.data) var data: String?
    @Option(.tlsCertificate) var tlsCert: String?
    @Option(.tlsKey) var tlsKey: String?
    @Option(.modelProvider) var modelProvider: String?
    @Option(.modelBaseURL) var modelBaseURL: String?
    @Option(.modelAPIKeyFile) var modelAPIKeyFile: String?
    @Option(.modelCAFile) var modelCAFile: String?
    @Option(.modelContextTokens) var modelContextTokens: String?
    @Option(.modelMaxOutputTokens) var modelMaxOutputTokens: String?
    @Option(.leaseSeconds) var leaseSeconds: String?
    @Option(.maxEventsPerSession) var maxEventsPerSession: String?
    @Option(.tunnelDomain) var tunnelDomain: String?
    @Option(.tunnelEdge) var tunnelEdge: String?
    @Option(.tunnelEdgeCA) var tunnelEdgeCA: String?
    @Flag(
        name: .customLong("with-edge"), help: ArgumentHelp(stringLiteral: "\(ConfigurationKey.withEdge.help) [\(ConfigurationKey.withEdge.variable)]")
    )
    var withEdge = false
    @Option(.edgeListen) var edgeListen: String?
    @Option(.edgeTLSCertificate) var edgeTLSCert: String?
    @Option(.edgeTLSKey) var edgeTLSKey: String?
    @Option(.edgeUser) var edgeUser: String?
    @Option(.edgeMaxConnections) var edgeMaxConnections: String?
    @Option(.edgeMaxConnectionsPerAddress) var edgeMaxConnectionsPerAddress: String?
    @Option(.edgeMaxUnprovedPerAddress) var edgeMaxUnprovedPerAddress: String?
    @Option(.edgeMaxLegsPerWorkspace) var edgeMaxLegsPerWorkspace: String?
    @Option(.edgeMaxCallsPerTunnel) var edgeMaxCallsPerTunnel: String?
    @Option(.edgeMaxCallsPerCaller) var edgeMaxCallsPerCaller: String?
    @Option(.edgeMaxCallsPerSecond) var edgeMaxCallsPerSecond: String?
    @Option(.edgeMaxBytesPerSecond) var edgeMaxBytesPerSecond: String?
    @Option(.edgeMaxIdleSeconds) var edgeMaxIdleSeconds: String?
    @Option(.edgeLegProof) var edgeLegProof: String?
    @Option(.edgeLegTerminators) var edgeLegTerminators: String?
    @Option(.edgeMetricsListen) var edgeMetricsListen: String?
    @Option(.serveLogFormat) var logFormat: String?
    @Option(.serveLogLevel) var logLevel: String?

    var given: [(ConfigurationKey, String?)] {
        [
            (.listen, listen), (.data, data), (.tlsCertificate, tlsCert), (.tlsKey, tlsKey), (.modelProvider, modelProvider),
            (.modelBaseURL, modelBaseURL), (.modelAPIKeyFile, modelAPIKeyFile), (.modelCAFile, modelCAFile),
            (.modelContextTokens, modelContextTokens), (.modelMaxOutputTokens, modelMaxOutputTokens), (.leaseSeconds, leaseSeconds),
            (.maxEventsPerSession, maxEventsPerSession), (.tunnelDomain, tunnelDomain), (.tunnelEdge, tunnelEdge),
            (.tunnelEdgeCA, tunnelEdgeCA),
            (.withEdge, withEdge ? "true" : nil), (.edgeListen, edgeListen), (.edgeTLSCertificate, edgeTLSCert), (.edgeTLSKey, edgeTLSKey),
            (.edgeUser, edgeUser), (.edgeMaxConnections, edgeMaxConnections), (.edgeMaxConnectionsPerAddress, edgeMaxConnectionsPerAddress),
            (.edgeMaxUnprovedPerAddress, edgeMaxUnprovedPerAddress), (.edgeMaxLegsPerWorkspace, edgeMaxLegsPerWorkspace),
            (.edgeMaxCallsPerTunnel, edgeMaxCallsPerTunnel), (.edgeMaxCallsPerCaller, edgeMaxCallsPerCaller),
            (.edgeMaxCallsPerSecond, edgeMaxCallsPerSecond), (.edgeMaxBytesPerSecond, edgeMaxBytesPerSecond),
            (.edgeMaxIdleSeconds, edgeMaxIdleSeconds), (.edgeLegProof, edgeLegProof), (.edgeLegTerminators, edgeLegTerminators),
            (.edgeMetricsListen, edgeMetricsListen),
            (.serveLogFormat, logFormat), (.serveLogLevel, logLevel),
        ]
    }
}
