import Logging
import PosternCore
import PosternMCP
import PosternModels
import PosternTelemetry

/// The settings of `serve`, checked against one another.
struct ServeSettings: Sendable {
    var listen: ListenAddress
    var dataFolder: String
    /// PEM files.
    var tls: (certificate: String, key: String)?
    var model: ModelProviderConfiguration
    var adminKey: String?
    var leaseSeconds: Int
    var limits = SessionLimits()
    /// In lowercase; `nil` where no tunnels are made.
    var tunnelDomain: String?
    /// The edge that is dialled for the MCP servers of agents; `nil` for the one beside the server, or for none.
    var dialledEdge: EdgeAddress?
    /// PEM of the only authorities that an edge is believed by; `nil` for the system's.
    var edgeAuthorities: String?
    /// The edge that runs beside the server.
    var edge: EdgeKeeper.Settings?
    var logs: LogWriter

    init(_ configuration: Configuration, environment: [String: String]) throws {
        listen = try ListenAddress(configuration.required(.listen))
        dataFolder = TextFile.absolute(try configuration.required(.data))
        switch (configuration.text(.tlsCertificate), configuration.text(.tlsKey)) {
        case (let certificate?, let key?): tls = (certificate, key)
        case (nil, nil): tls = nil
        default: throw ConfigurationError("tls.cert and tls.key go together: one of them is missing")
        }
        guard tls != nil || listen.isLoopback else {
            throw ConfigurationError(
                "listen: plain HTTP is served on loopback only, and \(listen.host) is reachable from elsewhere: give --tls-cert and --tls-key")
        }
        model = try Self.model(configuration, environment)
        adminKey = configuration.text(.adminKey)
        leaseSeconds = try configuration.integer(.leaseSeconds)
        limits.model = ModelLimits(
            contextTokens: try configuration.optionalInteger(.modelContextTokens),
            outputTokens: try configuration.optionalInteger(.modelMaxOutputTokens))
        limits.eventsPerSession = try configuration.integer(.maxEventsPerSession)
        tunnelDomain = try configuration.text(.tunnelDomain).map { text throws(ConfigurationError) in try Self.domain(text) }
        logs = try LogWriter(configuration, format: .serveLogFormat, level: .serveLogLevel)
        edge = try Self.edge(configuration, domain: tunnelDomain)
        dialledEdge = try configuration.text(.tunnelEdge).map { text throws(ConfigurationError) in
            guard let address = EdgeAddress(text) else { throw ConfigurationError("tunnel.edge: \(text) is not HOST or HOST:PORT") }
            guard tunnelDomain != nil else { throw ConfigurationError("tunnel.edge: an edge is known by its name: give --tunnel-domain") }
            return address
        }
        edgeAuthorities = try configuration.text(.tunnelEdgeCA).map { path throws(CommandError) in try TextFile.read(path) }
        if let edgeAuthorities {
            guard edgeAuthorities.contains("-----BEGIN CERTIFICATE-----") else {
                throw ConfigurationError("tunnel.edge_ca: the file holds no certificates in PEM")
            }
        }
    }

    private static func edge(_ configuration: Configuration, domain: String?) throws -> EdgeKeeper.Settings? {
        guard configuration.text(.withEdge) == "true" else { return nil }
        guard let domain else { throw ConfigurationError("with_edge: an edge needs a name: give --tunnel-domain") }
        guard let certificate = configuration.text(.edgeTLSCertificate), let key = configuration.text(.edgeTLSKey) else {
            throw ConfigurationError("with_edge: an edge needs a certificate for \(domain): give --edge-tls-cert and --edge-tls-key")
        }
        let user = UInt32(try configuration.integer(.edgeUser))
        guard !UserRange.sessions.numbers.contains(user), user != WorkerUser.usualNumber else {
            throw ConfigurationError(
                "edge.user: \(user) is one of the numbers of workers, their sessions and proxies (\(UserRange.reserved.text)); take another")
        }
        let metrics = try configuration.text(.edgeMetricsListen).map { text throws(ConfigurationError) in try ListenAddress(text) }
        if let metrics, !metrics.isLoopback {
            throw ConfigurationError("edge.metrics_listen: plain HTTP is served on loopback only, and \(metrics.host) is reachable from elsewhere")
        }
        return EdgeKeeper.Settings(
            listen: try ListenAddress(configuration.required(.edgeListen), takesAll: true), domain: domain,
            certificate: TextFile.absolute(certificate),
            key: TextFile.absolute(key), user: user, logFormat: try configuration.required(.serveLogFormat),
            logLevel: try configuration.required(.serveLogLevel), bounds: try EdgeBounds(configuration), metricsListen: metrics)
    }

    /// A domain name of two labels or more (RFC 1123, section 2.1) that leaves room for a tunnel's label and a route's in front: 253 characters
    /// in all.
    static func domain(_ text: String) throws(ConfigurationError) -> String {
        let labels = text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                        || byte == UInt8(ascii: "-")
                }
        }
        guard isName, labels.count > 1, labels.last?.utf8.contains(where: { $0 >= UInt8(ascii: "a") }) == true, text.utf8.count <= 180 else {
            throw ConfigurationError(
                "tunnel.domain: \(text) is not a domain name of at least two labels and at most 180 characters, such as tunnel.example.com")
        }
        return text.lowercased()
    }

    private static func model(_ configuration: Configuration, _ environment: [String: String]) throws -> ModelProviderConfiguration {
        let name = try configuration.required(.modelProvider)
        guard let kind = ModelProviderConfiguration.Kind(rawValue: name) else { throw ConfigurationError("model.provider: \(name) is not known") }
        let baseURL = configuration.text(.modelBaseURL)
        if kind == .openai, baseURL == nil, environment["OPENAI_API_KEY"] == nil, configuration.text(.modelAPIKey) == nil,
            configuration.text(.modelAPIKeyFile) == nil
        {
            throw ConfigurationError("model.base_url is missing: say where the service that speaks OpenAI Chat Completions is")
        }
        var key = try configuration.text(.modelAPIKeyFile).map { path throws(CommandError) in try TextFile.readSecret(path) }
        key = key ?? configuration.text(.modelAPIKey)
        // A provider's usual variable is for that provider only: a key is never sent to another service.
        key = key ?? environment[kind == .anthropic ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY"].flatMap { $0.isEmpty ? nil : $0 }
        if key == nil, kind == .anthropic, baseURL == nil {
            throw ConfigurationError(
                "no key for the model: set ANTHROPIC_API_KEY, give --model-api-key-file FILE, or point --model-base-url at a local model "
                    + "(without any model: `postern scripted-model`)")
        }
        do {
            let model = try ModelProviderConfiguration(
                kind: kind, baseURL: baseURL, apiKey: key, caFile: configuration.text(.modelCAFile),
                proxyURL: environment["HTTPS_PROXY"].flatMap { $0.isEmpty ? nil : $0 })
            // Reads the CA file and the proxy's address, so that a mistake in them is told now.
            _ = try model.httpClientConfiguration()
            return model
        } catch {
            throw ConfigurationError("model: \(error)")
        }
    }
}

extension LogWriter {
    init(_ configuration: Configuration, format: ConfigurationKey, level: ConfigurationKey) throws {
        let formatName = try configuration.required(format)
        let levelName = try configuration.required(level)
        guard let format = LogFormat(rawValue: formatName) else { throw ConfigurationError("log.format: \(formatName) is not known") }
        guard let level = Logger.Level(rawValue: levelName) else { throw ConfigurationError("log.level: \(levelName) is not known") }
        self.init(format: format, level: level)
    }
}
