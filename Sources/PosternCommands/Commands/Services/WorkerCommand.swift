import ArgumentParser

/// `postern worker`
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run the agent's hands: claim sessions and run their tools in a sandbox.",
        discussion: """
            A worker dials out and listens on nothing but loopback, and there only where --metrics-listen says so. It serves this control plane and, unchanged, Anthropic's hosted service. The environment's key
            comes from --environment-key-file or ANTHROPIC_ENVIRONMENT_KEY, never as an argument.

            Example: postern worker poll --environment-id env_… --environment-key-file env.key --base-url https://postern.example.com
            """,
        subcommands: [
            WorkerPollCommand.self, WorkerRunCommand.self, WorkerStatusCommand.self, WorkerFreezeCommand.self, WorkerThawCommand.self,
            WorkerApprovalsCommand.self, WorkerApproveCommand.self, WorkerDenyCommand.self,
        ])
}

/// The flags of both ways to run a worker.
struct WorkerFlags: ParsableArguments, SettingFlags {
    @Option(.environmentID) var environmentID: String?
    @Option(.environmentName) var environmentName: String?
    @Option(.environmentKeyFile) var environmentKeyFile: String?
    @Option(.baseURL) var baseURL: String?
    @Option(.workerID) var workerID: String?
    @Option(.workdir) var workdir: String?
    @Option(.stateDirectory) var stateDirectory: String?
    @Option(.workspaceSource) var workspaceSource: String?
    @Option(.sharedWorkspace) var sharedWorkspace: String?
    @Option(.workspaceMode) var workspaceMode: String?
    @Option(.maxIdle) var maxIdle: String?
    @Option(.sandbox) var sandbox: String?
    @Option(.workerUser) var user: String?
    @Option(.policy) var policy: String?
    @Option(.requireAllLayers) var requireAllLayers: String?
    @Option(.approvalTimeout) var approvalTimeout: String?
    @Option(.auditMirror) var auditMirror: String?
    @Option(.offloadThreshold) var offloadThreshold: String?
    @Option(.proxy) var proxy: String?
    @Option(.caFile) var caFile: String?
    @Option(.workerLogFormat) var logFormat: String?
    @Option(.workerLogLevel) var logLevel: String?
    @Flag(name: .long, help: .hidden) var unrestrictedPaths = false

    func validate() throws {
        guard !unrestrictedPaths else {
            throw ValidationError(
                "--unrestricted-paths is the official worker's: here a policy names the folders that tools reach beside /workspace (files.read, "
                    + "files.write; docs/policy.md), and --sandbox none confines nothing")
        }
    }

    var given: [(ConfigurationKey, String?)] {
        [
            (.environmentID, environmentID), (.environmentName, environmentName), (.environmentKeyFile, environmentKeyFile), (.baseURL, baseURL),
            (.workerID, workerID),
            (.workdir, workdir), (.stateDirectory, stateDirectory), (.policy, policy), (.requireAllLayers, requireAllLayers),
            (.approvalTimeout, approvalTimeout), (.auditMirror, auditMirror),
            (.workspaceSource, workspaceSource), (.workerUser, user), (.sharedWorkspace, sharedWorkspace),
            (.workspaceMode, workspaceMode), (.maxIdle, maxIdle), (.sandbox, sandbox),
            (.offloadThreshold, offloadThreshold), (.proxy, proxy), (.caFile, caFile), (.workerLogFormat, logFormat), (.workerLogLevel, logLevel),
        ]
    }
}
