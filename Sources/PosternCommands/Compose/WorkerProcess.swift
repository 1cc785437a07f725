import Logging
import ManagedAgentsClient
import PosternSandbox
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
            secret: secret, needsAck: false)
        try await run(settings, .item(item))
    }

    /// First of all the secrets leave the environment; nothing has been started yet.
    private func prepared() throws -> (Configuration, WorkerSettings) {
        let environment = try SecretHandover.take(ProcessEnvironment.current)
        SecretHandover.harden()
        let configuration = try Configuration(.worker, flags: flags, environment: environment, file: file.file(.worker, environment: environment))
        let settings = try WorkerSettings(configuration)
        let logger = settings.logs.logger("worker")
        for warning in configuration.warnings { logger.warning("\(warning)") }
        return (configuration, settings)
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
        let spawner = try await Spawner.launch()
        do {
            let driver = try await driver(settings, spawner, logger)
            let worker = Worker(
                configuration: Self.configuration(settings, spawner), transport: transport, driver: driver, mode: mode, logger: logger)
            try await Services.run([worker], logger: settings.logs.logger("lifecycle"), maximumShutdown: Self.maximumShutdown)
            let sums = worker.statistics
            logger.info("stopped", metadata: ["sessions": "\(sums.sessions)", "calls": "\(sums.calls)", LoggingKeys.bytes: "\(sums.bytesPosted)"])
        } catch {
            await spawner.close()
            throw error
        }
        await spawner.close()
    }

    private func driver(_ settings: WorkerSettings, _ spawner: Spawner, _ logger: Logger) async throws -> any SandboxDriver {
        if settings.sandbox == "none" {
            logger.warning("tools run without a sandbox: they can do whatever the user of this worker can")
            return NoneDriver(spawner: spawner)
        }
        if let refusal = SandboxProbe(spawner: spawner.greeting).refusal { throw SandboxError(.unavailable, refusal) }
        let driver = try BubblewrapDriver(spawner: spawner)
        try await BoundaryCheck(driver: driver).run()
        logger.debug("the boundary holds")
        return driver
    }

    private static func configuration(_ settings: WorkerSettings, _ spawner: Spawner) -> WorkerConfiguration {
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
        configuration.removeFolder = { path in
            do throws(SandboxError) {
                try await spawner.removeFolder(path)
                return nil
            } catch {
                return error.message
            }
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
