import Logging
import ManagedAgentsClient
import NIOPosix
import PosternAudit
import PosternEgress
import PosternPolicy
import PosternSandbox
import PosternSandboxWire
import PosternTelemetry
import PosternWorker
import ServiceLifecycle

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The composition root of `worker poll` and `worker run`.
struct WorkerProcess {
    private let flags: [String: String]
    private let file: ConfigFileOption

    init(flags: [String: String], file: ConfigFileOption) {
        self.flags = flags
        self.file = file
    }

    /// A little more than the worker itself allows its sessions for their release.
    private static let maximumShutdown: Duration = .seconds(40)

    /// Serves the queue until stopped.
    func poll() async throws {
        let (configuration, settings) = try prepared()
        guard settings.environmentKey != nil else { throw try missingKey(configuration) }
        try await run(settings, .poll)
    }

    /// Serves one item that another process claimed.
    func runOne() async throws {
        let (configuration, settings) = try prepared()
        let secret = configuration.text(.workSecret).map { Secret($0) }
        guard settings.environmentKey != nil || secret != nil else { throw try missingKey(configuration) }
        let item = WorkItem(
            id: try configuration.required(.workID), environmentID: settings.environmentID, sessionID: try configuration.required(.sessionID),
            secret: secret, needsAck: false, policyFragment: configuration.text(.workPolicy))
        try await run(settings, .item(item))
    }

    /// First of all the secrets leave the environment; nothing has been started yet.
    private func prepared() throws -> (Configuration, WorkerSettings) {
        let inherited = ProcessEnvironment.current
        let environment = try SecretHandover.take(inherited, further: try secretVariables(inherited))
        SecretHandover.harden()
        let configuration = try Configuration(.worker, flags: flags, environment: environment, file: file.file(.worker, environment: environment))
        var settings = try WorkerSettings(configuration)
        settings.secretVariables = environment
        if let path = file.path(environment: environment) { settings.ownFiles.append(TextFile.absolute(path)) }
        // A link to a file is as good as the file.
        settings.ownFiles = Array(Set(settings.ownFiles + settings.ownFiles.map(TextFile.resolved))).sorted()
        let logger = settings.logs.logger("worker")
        for warning in configuration.warnings { logger.warning("\(warning)") }
        return (configuration, settings)
    }

    /// The variables that policies name as secrets. What is wrong with a policy is said later, in order.
    private func secretVariables(_ environment: [String: String]) throws -> Set<String> {
        let configuration = try Configuration(.worker, flags: flags, environment: environment, file: file.file(.worker, environment: environment))
        guard let path = configuration.text(.policy), let policies = try? PolicyFiles.load(TextFile.absolute(path)) else { return [] }
        return Set(
            policies.policies.flatMap(\.policy.secrets).compactMap { secret in
                if case .variable(let name) = secret.source { name } else { nil }
            })
    }

    private func missingKey(_ configuration: Configuration) throws -> ConfigurationError {
        ConfigurationError(
            "no environment key: give --environment-key-file FILE, or set ANTHROPIC_ENVIRONMENT_KEY "
                + "(a key for this control plane: postern environments keys create \(try configuration.required(.environmentID)) --output FILE)")
    }

    private func run(_ settings: WorkerSettings, _ mode: Worker.Mode) async throws {
        let logger = settings.logs.logger("worker")
        let transport = try AsyncHTTPTransport(.init(baseURL: settings.baseURL, caFile: settings.caFile, proxy: settings.proxy))
        do {
            try await serve(settings, mode, transport, logger)
        } catch {
            await transport.shutdown()
            throw Self.explained(error, settings)
        }
        await transport.shutdown()
    }

    private func serve(_ settings: WorkerSettings, _ mode: Worker.Mode, _ transport: AsyncHTTPTransport, _ logger: Logger) async throws {
        var settings = settings
        let policies = try PolicyFiles.load(settings.policy, own: settings.ownFiles)
        // What policies name of the perimeter's own files is masked in what they bind, and no sandbox starts with one of them bound.
        let named = policies.policies.flatMap(\.policy.perimeterFiles)
        settings.ownFiles += named.flatMap { [TextFile.absolute($0), TextFile.resolved($0)] }
        var options = Spawner.Configuration()
        options.proxyProgram = TextFile.resolved("/proc/self/exe")
        let spawner = try await Spawner.launch(options)
        do {
            var configuration = Self.configuration(settings, spawner, policies)
            let driver = try await driver(settings, policies, spawner, &configuration, logger)
            let metrics = WorkerMetrics()
            ProcessMetrics.register(metrics.registry)
            let worker = Worker(
                configuration: configuration, transport: transport, driver: driver, mode: mode, metrics: metrics, logger: logger)
            let server = settings.metricsListen.map { MetricsServer(address: $0, metrics: metrics, logger: logger) }
            try server?.prepare()
            let services: [(any Service)?] = [server, worker]
            try await Services.run(services.compactMap(\.self), logger: settings.logs.logger("lifecycle"), maximumShutdown: Self.maximumShutdown)
            let sums = worker.statistics
            logger.info("stopped", metadata: ["sessions": "\(sums.sessions)", "calls": "\(sums.calls)", LoggingKeys.bytes: "\(sums.bytesPosted)"])
        } catch {
            await spawner.close()
            throw error
        }
        await spawner.close()
    }

    private func driver(
        _ settings: WorkerSettings, _ policies: PolicySet, _ spawner: Spawner, _ configuration: inout WorkerConfiguration, _ logger: Logger
    ) async throws -> any SandboxDriver {
        let driver: any SandboxDriver
        var layers: [String] = []
        if settings.launcher != nil || settings.sandbox == "none" {
            if settings.launcher == nil { logger.warning("tools run without a sandbox: they can do whatever the user of this worker can") }
            let isRefused = settings.requiresAllLayers && settings.launcher == nil
            if isRefused { throw ConfigurationError("require_all_layers: with sandbox none there is no layer at all") }
            driver = NoneDriver(spawner: spawner)
            if settings.launcher == nil {
                configuration.layersOff = ["sandbox"]
                configuration.startRecords.append(.layerOff(layer: "sandbox", reason: "sandbox none: there is no layer at all"))
            }
            configuration.egress = nil
        } else {
            if let refusal = SandboxProbe(spawner: spawner.greeting).refusal { throw SandboxError(.unavailable, refusal) }
            driver = try BubblewrapDriver(spawner: spawner, denied: settings.ownFiles)
            let report = try await BoundaryCheck(driver: driver).run()
            logger.debug("the boundary holds")
            var check = BoundaryRecords(requiresAllLayers: settings.requiresAllLayers, logger: logger)
            check.add(report)
            for outcome in await PolicySelfTest(driver: driver, denials: configuration.denials).run(policies.inForce) { check.add(outcome) }
            try check.hold()
            (configuration.layersOff, configuration.selfTests) = (check.layersOff, check.selfTests)
            configuration.startRecords += check.records
            layers = report.findings.filter { $0.verdict == .holds }.map(\.boundary)
        }
        configuration.startRecords.insert(
            .workerStarted(
                AuditRecord.WorkerStart(
                    name: configuration.workerID ?? Self.hostName, version: PosternVersion.text, driver: driver.name, layers: layers)),
            at: 0)
        return driver
    }

    private static func configuration(_ settings: WorkerSettings, _ spawner: Spawner, _ policies: PolicySet) -> WorkerConfiguration {
        var configuration = WorkerConfiguration(
            environmentID: settings.environmentID, environmentKey: settings.environmentKey, workdir: settings.sharedWorkspace ?? settings.workdir,
            stateDirectory: settings.stateFolder)
        configuration.workerID = settings.workerID
        configuration.hostName = hostName
        configuration.maxSessions = settings.maximumSessions
        configuration.maxIdle = settings.maximumIdle
        configuration.sharedWorkspace = settings.sharedWorkspace != nil
        configuration.workspaceSource = settings.workspaceSource
        configuration.offloadThreshold = settings.offloadThreshold
        configuration.policies = PolicyChooser(policies, environmentName: settings.environmentName)
        configuration.denials = MandatoryDenials(own: settings.ownFiles)
        configuration.approvalPatience = settings.approvalPatience
        configuration.audit.mirrorFolder = settings.auditMirror
        configuration.launcher = settings.launcher
        configuration.dictionaryWords = { path in try TextFile.read(path).split(whereSeparator: \.isNewline).map(String.init) }
        configuration.egress = SpawnedEgress(spawner: spawner)
        let secrets = SecretResolver(
            variables: settings.secretVariables.mapValues { SecretValue($0) }, group: MultiThreadedEventLoopGroup.singleton)
        configuration.findSecret = { source async throws(SecretSourceError) in try await secrets.find(source) }
        configuration.removeFolder = { path in
            do throws(SandboxError) {
                try await spawner.removeFolder(path)
                return nil
            } catch {
                return error.message
            }
        }
        configuration.scanWorkspace = { path in
            guard let report = try? await spawner.scanWorkspace(path) else { return ["unseen": 1] }
            return Dictionary(report.counts.map { ($0.key.rawValue, $0.value) }) { $0 + $1 }
        }
        return configuration
    }

    private static var hostName: String {
        var name = utsname()
        uname(&name)
        return withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// The same failure with what to do about it and the documented status.
    private static func explained(_ error: any Error, _ settings: WorkerSettings) -> any Error {
        switch error {
        case let error as SandboxError:
            CommandError(.configuration, "\(error.message)\nFor a list of what is there and what is missing: postern doctor")
        case Worker.Failure.api(let error): CommandError(error, baseURL: settings.baseURL.description)
        case let error as Worker.Failure: CommandError(.failure, "\(error)")
        default: error
        }
    }
}
