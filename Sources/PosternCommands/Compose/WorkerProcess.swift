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
        let (_, settings) = try prepared { configuration, settings in
            guard settings.environmentKey != nil else { throw try missingKey(configuration) }
        }
        try await run(settings, .poll)
    }

    /// Serves one item that another process claimed.
    func runOne() async throws {
        let (configuration, settings) = try prepared { configuration, settings in
            guard settings.environmentKey != nil || configuration.text(.workSecret) != nil else { throw try missingKey(configuration) }
            _ = (try configuration.required(.workID), try configuration.required(.sessionID))
        }
        let secret = configuration.text(.workSecret).map { Secret($0) }
        let item = WorkItem(
            id: try configuration.required(.workID), environmentID: settings.environmentID, sessionID: try configuration.required(.sessionID),
            secret: secret, needsAck: false, policyFragment: configuration.text(.workPolicy))
        try await run(settings, .item(item))
    }

    /// First of all the secrets leave the environment; nothing has been started yet. A worker that was started as root comes here twice: as
    /// root, which goes on as an ordinary user, and as that user.
    private func prepared(_ check: (Configuration, WorkerSettings) throws -> Void) throws -> (Configuration, WorkerSettings) {
        var environment = ProcessEnvironment.current
        let handed = try WorkerHandover.received(environment)
        let named = handed == nil ? try secretVariables(environment) : []
        var user: WorkerUser?
        if let handed {
            environment[Configuration.ReservedVariable.handoverDescriptor.rawValue] = nil
            environment.merge(handed.secrets) { $1 }
        } else {
            user = try WorkerUser.chosen(try read(environment).text(.workerUser), own: geteuid())
            if user == nil { environment = try SecretHandover.take(environment, further: named) }
        }
        SecretHandover.harden()
        let configuration = try read(environment, handed)
        var settings = try WorkerSettings(configuration, handed: handed)
        settings.secretVariables = environment
        if let path = file.path(environment: environment) { settings.ownFiles.append(TextFile.absolute(path)) }
        // A link to a file is as good as the file.
        settings.ownFiles = Array(Set(settings.ownFiles + settings.ownFiles.map(TextFile.resolved))).sorted()
        try check(configuration, settings)
        if let user {
            var start = RootStart(
                user: user, settings: settings, environment: environment,
                secretVariables: SecretHandover.variables.union(named))
            start.configurationFile = try file.path(environment: environment).map { (path) throws(CommandError) in
                PolicySet.File(name: path, text: try TextFile.read(path))
            }
            try start.goOn()
        }
        if let handed { try WorkerReach.check(settings, user: handed.served.user) }
        let logger = settings.logs.logger("worker")
        for warning in configuration.warnings { logger.warning("\(warning)") }
        return (configuration, settings)
    }

    /// The variables that policies name as secrets. What is wrong with a policy is said later, in order.
    private func secretVariables(_ environment: [String: String]) throws -> Set<String> {
        let configuration = try read(environment)
        guard let path = configuration.text(.policy), let policies = try? PolicyFiles.load(TextFile.absolute(path)) else { return [] }
        return Set(
            policies.policies.flatMap(\.policy.secrets).compactMap { secret in
                if case .variable(let name) = secret.source { name } else { nil }
            })
    }

    private func read(_ environment: [String: String], _ handed: WorkerHandover? = nil) throws -> Configuration {
        let read = try handed.map { try file.file(.worker, handed: $0.configuration) } ?? file.file(.worker, environment: environment)
        return try Configuration(.worker, flags: flags, environment: environment, file: read)
    }

    private func missingKey(_ configuration: Configuration) throws -> ConfigurationError {
        ConfigurationError(
            "no environment key: give --environment-key-file FILE, or set ANTHROPIC_ENVIRONMENT_KEY "
                + "(a key for this control plane: postern environments keys create \(try configuration.required(.environmentID)) --output FILE)")
    }

    private func run(_ settings: WorkerSettings, _ mode: Worker.Mode) async throws {
        let logger = settings.logs.logger("worker")
        let transport = try AsyncHTTPTransport.toControlPlane(settings.baseURL, caFile: settings.caFile, proxy: settings.proxy)
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
        var policies: PolicySet
        let spawner: Spawner
        if let handed = settings.handed {
            policies = try PolicySet(handed.policies, reader: PolicyFiles.reader(own: handed.policyDenials))
            spawner = try await Spawner.connect(handed.spawner, served: handed.served)
        } else {
            policies = try PolicyFiles.load(settings.policy, own: settings.ownFiles)
            settings.ownFiles += WorkerSettings.perimeterFiles(policies)
            var options = Spawner.Configuration()
            options.proxyProgram = TextFile.resolved("/proc/self/exe")
            spawner = try await Spawner.launch(options)
        }
        var most = PolicyFragment()
        most.workspace = settings.workspaceMode
        policies.narrow(by: most)
        do {
            var configuration = Self.configuration(settings, spawner, policies)
            let driver = try await driver(settings, policies, spawner, &configuration, logger)
            let metrics = WorkerMetrics()
            ProcessMetrics.register(metrics.registry)
            let worker = Worker(
                configuration: configuration, transport: transport, driver: driver, mode: mode, metrics: metrics, logger: logger)
            let server = settings.metricsListen.map { MetricsServer(address: $0, metrics: { await metrics.rendered() }, logger: logger) }
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
        try noteOwnUser(settings, &configuration, logger)
        if settings.launcher != nil || settings.sandbox == "none" {
            if settings.launcher == nil { logger.warning("tools run without a sandbox: they can do whatever the user of this worker can") }
            if settings.requiresAllLayers { throw ConfigurationError("require_all_layers: with sandbox none there is no layer at all") }
            driver = NoneDriver(spawner: spawner)
            if settings.launcher == nil {
                if spawner.greeting.isRoot {
                    configuration.sessionsWalk = true
                    try WorkerReach.checkWalk(settings.workdir)
                }
                configuration.layersOff.append("sandbox")
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
            configuration.layersOff += check.layersOff
            configuration.selfTests = check.selfTests
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

    /// A worker that is root is without a layer, and says so.
    private func noteOwnUser(_ settings: WorkerSettings, _ configuration: inout WorkerConfiguration, _ logger: Logger) throws(SandboxError) {
        guard geteuid() == 0 else { return }
        let reason = "the worker's own process stays root, by --user root: a fault in it is a fault of root"
        guard !settings.requiresAllLayers else {
            throw SandboxError(.unavailable, "require_all_layers is set and not every layer is in force: \(reason)")
        }
        logger.warning("a layer of the sandbox is not in force", metadata: ["layer": "worker user", "reason": "\(reason)"])
        configuration.layersOff.append("worker user")
        configuration.startRecords.append(.layerOff(layer: "worker user", reason: reason))
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
        let opener = Self.opener(spawner)
        configuration.dictionaryWords = { path in
            let opened = try await opener(path)
            return try TextFile.read(path, opened: opened).split(whereSeparator: \.isNewline).map(String.init)
        }
        configuration.egress = SpawnedEgress(spawner: spawner)
        let secrets = SecretResolver(
            variables: settings.secretVariables.mapValues { SecretValue($0) }, group: MultiThreadedEventLoopGroup.singleton, opener: opener)
        configuration.findSecret = { source async throws(SecretSourceError) in try await secrets.find(source) }
        configuration.removeFolder = { path in
            do throws(SandboxError) {
                try await spawner.removeFolder(path)
                return nil
            } catch {
                return error.message
            }
        }
        configuration.openOutput = { folder, name in try? await spawner.openOutput(name, in: folder) }
        configuration.scanWorkspace = { path, below in
            guard let report = try? await spawner.scanWorkspace(path, below: below) else { return ["unseen": 1] }
            return Dictionary(report.counts.map { ($0.key.rawValue, $0.value) }) { $0 + $1 }
        }
        return configuration
    }

    /// Opens for a worker that is not root what only root can read, if a policy names it.
    private static func opener(_ spawner: Spawner) -> SecretResolver.Opener {
        { (path) async throws(SecretSourceError) in
            guard access(path, R_OK) != 0, errno == EACCES else { return nil }
            do throws(SandboxError) {
                return try await spawner.openFile(path)
            } catch {
                throw SecretSourceError(
                    "file \(path)", error.message, remedy: "give it to root or to the worker's user, mode 0600, and name it itself")
            }
        }
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
