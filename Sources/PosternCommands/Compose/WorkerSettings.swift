import ManagedAgentsClient
import PosternPolicy
import PosternTelemetry
import PosternWorker

/// The settings of `worker poll` and `worker run`, checked against one another.
struct WorkerSettings: Sendable {
    var environmentID: String
    /// The operator's name for it, which policies match.
    var environmentName: String?
    /// Nil when the item's own secret is all there is.
    var environmentKey: Secret?
    var baseURL: BaseURL
    var proxy: Proxy?
    var caFile: String?
    /// Nil: made up once and kept in the state folder.
    var workerID: String?
    var workdir: String
    var stateFolder: String
    var workspaceSource: String?
    var sharedWorkspace: String?
    /// Narrows every policy.
    var workspaceMode: PosternPolicy.WorkspaceMode
    var maximumSessions: Int
    /// Nil keeps a session for ever.
    var maximumIdle: Duration?
    var sandbox: String
    var offloadThreshold: Int
    var policy: String?
    var requiresAllLayers: Bool
    var approvalPatience: Duration
    var auditMirror: String?
    /// Where metrics are served; nil for nowhere.
    var metricsListen: MetricsAddress?
    /// A script that starts workers elsewhere, and how it is run.
    var launcher: LauncherConfiguration?
    /// The environment as it was, secrets included, for policies that name variables.
    var secretVariables: [String: String] = [:]
    /// What this worker read while it was root; `nil` in one that was not, or that stays root.
    var handed: WorkerHandover?
    /// Files of this worker that no policy can open.
    var ownFiles: [String]
    var logs: LogWriter

    /// - Parameter handed: what this worker read while it was root; it cannot read or look at all of it any more.
    init(_ configuration: Configuration, handed: WorkerHandover? = nil) throws {
        func folder(_ path: String, _ key: ConfigurationKey) throws -> String { try handed?.folders[key.name] ?? Self.folder(path, key) }
        environmentID = try configuration.required(.environmentID)
        environmentName = configuration.text(.environmentName)
        environmentKey = if let handed { handed.environmentKey.map { Secret($0) } } else { try Self.key(configuration) }
        do {
            baseURL = try BaseURL(configuration.required(.baseURL))
            proxy = try configuration.text(.proxy).map { try Proxy($0) }
        } catch let error as BaseURL.Invalid {
            throw ConfigurationError("base_url: \(error)")
        } catch let error as Proxy.Invalid {
            throw ConfigurationError("proxy: \(error)")
        }
        caFile = configuration.text(.caFile)
        workerID = configuration.text(.workerID)
        workdir = TextFile.absolute(try configuration.required(.workdir))
        stateFolder = configuration.text(.stateDirectory).map(TextFile.absolute) ?? workdir + "/.postern"
        workspaceSource = try configuration.text(.workspaceSource).map { try folder($0, .workspaceSource) }
        sharedWorkspace = try configuration.text(.sharedWorkspace).map { try folder($0, .sharedWorkspace) }
        workspaceMode = PosternPolicy.WorkspaceMode(rawValue: try configuration.required(.workspaceMode)) ?? .ro
        guard workspaceSource == nil || sharedWorkspace == nil else {
            throw ConfigurationError("workspace_source and shared_workspace exclude each other: sessions get copies, or they share one folder")
        }
        maximumSessions = try configuration.integer(.maxSessions)
        let idle = try configuration.integer(.maxIdle)
        maximumIdle = idle == 0 ? nil : .seconds(idle)
        sandbox = try configuration.required(.sandbox)
        offloadThreshold = try configuration.integer(.offloadThreshold)
        policy = configuration.text(.policy).map(TextFile.absolute)
        requiresAllLayers = configuration.text(.requireAllLayers) == "true"
        approvalPatience = .seconds(try configuration.integer(.approvalTimeout))
        auditMirror = try configuration.text(.auditMirror).map { try folder($0, .auditMirror) }
        metricsListen = try configuration.text(.metricsListen).map { text throws(ConfigurationError) in try MetricsAddress(text) }
        launcher = try Self.launcher(configuration, baseURL.description)
        let named: [ConfigurationKey] = [.environmentKeyFile, .caFile, .policy, .auditMirror, .onWork]
        ownFiles = [stateFolder] + named.compactMap { configuration.text($0) }.map(TextFile.absolute)
        if case .socket(let path) = metricsListen { ownFiles.append(path) }
        self.handed = handed
        if let handed { ownFiles = handed.ownFiles }
        logs = try LogWriter(configuration, format: .workerLogFormat, level: .workerLogLevel)
    }

    /// What policies name of the perimeter's own files: masked in what they bind, and no sandbox starts with one of them bound.
    static func perimeterFiles(_ policies: PolicySet) -> [String] {
        policies.policies.flatMap(\.policy.perimeterFiles).flatMap { [TextFile.absolute($0), TextFile.resolved($0)] }
    }

    private static func launcher(_ configuration: Configuration, _ baseURL: String) throws -> LauncherConfiguration? {
        guard let script = configuration.text(.onWork) else { return nil }
        var launcher = LauncherConfiguration(script: TextFile.absolute(script), baseURL: baseURL)
        guard configuration.text(.requireAllLayers) != "true" else {
            throw ConfigurationError(
                "require_all_layers and on_work exclude each other: the sandboxes are made by the workers that the script starts; give it to those "
                    + "(POSTERN_REQUIRE_ALL_LAYERS)")
        }
        launcher.passesEnvironmentKey = configuration.text(.onWorkCompat) == "true"
        let seconds = try configuration.integer(.onWorkTimeout)
        launcher.timeLimit = seconds == 0 ? nil : .seconds(seconds)
        launcher.handoverGrace = .seconds(try configuration.integer(.onWorkGrace))
        launcher.environmentName = configuration.text(.environmentName)
        launcher.environment = ProcessEnvironment.current
        return launcher
    }

    private static func key(_ configuration: Configuration) throws -> Secret? {
        if let file = configuration.text(.environmentKeyFile) { return Secret(try TextFile.readSecret(file)) }
        return configuration.text(.environmentKey).map(Secret.init)
    }

    private static func folder(_ path: String, _ key: ConfigurationKey) throws -> String {
        guard TextFile.exists(path) else { throw ConfigurationError("\(key.name): there is no folder \(path)") }
        return TextFile.resolved(path)
    }
}
