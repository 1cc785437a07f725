import ManagedAgentsClient
import PosternAudit
import PosternEgress
import PosternGate
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

/// What a worker needs to know. Transport and sandbox driver are passed beside it.
package struct WorkerConfiguration: Sendable {
    /// The environment whose queue is served, `env_…`.
    package var environmentID: String
    /// The environment key; may be absent in `run` mode with an item's own secret.
    package var environmentKey: Secret?
    /// Folder of the session workspaces, one below it for each session, named by its id. Absolute.
    package var workdir: String
    /// Folder of the worker's own files: id, journals, audit log and key, offloaded outputs. Absolute; one worker at a time. Default:
    /// `<workdir>/.postern`.
    package var stateDirectory: String
    /// Sent on polls. `nil`: made once and kept in the state folder, `<host name>-<12 hex digits>`.
    package var workerID: String?
    /// For the id that is made.
    package var hostName = "worker"
    /// Sessions served at once, 1 or more.
    package var maxSessions = 100
    /// How long a session that has ended its turn keeps its sandbox and its place; `nil` for ever.
    package var maxIdle: Duration? = .seconds(60)
    /// All sessions share `workdir` itself, as with the official worker.
    package var sharedWorkspace = false
    /// Sessions run without a sandbox as users that are not the worker's, and walk to their folders by themselves.
    package var sessionsWalk = false
    /// Folder that is copied into each new session workspace; `nil` for empty ones.
    package var workspaceSource: String?
    /// Characters above which a result is offloaded, 1 to 400,000.
    package var offloadThreshold = 100_000
    /// Longest time for one call.
    package var toolTimeout: Duration = .seconds(150)
    /// Variables of every process in a sandbox.
    package var toolEnvironment: [(name: String, value: String)] = []
    package var sandboxLimits = SandboxLimits()
    package var gateLimits = ResultGate.Limits()
    /// Has a script do the work elsewhere instead of a sandbox here; the driver then is `LauncherDriver`.
    package var launcher: LauncherConfiguration?
    /// The ceilings of this perimeter.
    package var policies = PolicyChooser()
    /// Starts proxy processes; without it no session may have a policy that lets anything out.
    package var egress: (any EgressLauncher)?
    /// Finds the values of secrets that policies name.
    package var findSecret: SecretFinder = { (_) async throws(SecretSourceError) in
        throw SecretSourceError("secret", "this worker has no sources of secrets", remedy: "run it with postern worker")
    }
    /// What no policy can open: the worker's own files among it.
    package var denials = MandatoryDenials()
    /// Looks at a workspace that a session leaves and counts, by kind, what nobody outside should trust; `nil` does not look.
    /// With `below`, at the folder of that name in it: what is in a session's folder only the spawner can reach.
    package var scanWorkspace: (@Sendable (_ path: String, _ below: String?) async -> [String: Int])?
    /// What the audit is told at the start: the layers in force, the check of the boundary.
    package var startRecords: [AuditRecord.Kind] = []
    /// Layers of the sandbox that are not in force here; a policy that requires all of them is not served then.
    package var layersOff: [String] = []
    /// What the self-test has found under each policy, by the digest of the ceiling. Of one that is not here nothing more is known.
    package var selfTests: [String: PolicyTestResult] = [:]
    package var audit = AuditSettings()
    /// Longest wait of a call for somebody inside the perimeter to approve it.
    package var approvalPatience: Duration = .seconds(600)
    /// Reads the words of a redaction dictionary, one a line.
    package var dictionaryWords: @Sendable (String) async throws -> [String] = { path in
        throw RedactionError(name: path, reason: "dictionaries are not read here")
    }
    /// End when the queue is empty instead of waiting.
    package var drain = false
    /// How long an ending worker waits for its sessions to be released.
    package var drainTimeout: Duration = .seconds(30)
    /// Seconds that a poll may be held by a service that knows how (Postern); others ignore it.
    package var pollHoldSeconds = 30
    package var pacing: Pacing = .live
    /// Removes a folder whoever owns what is in it; `nil`: as this process's user. Gives the reason of a failure.
    package var removeFolder: (@Sendable (String) async -> String?)?
    /// Opens an offloaded output, which belongs to its session's user, for reading; `nil`: as this process's user. The caller closes it.
    package var openOutput: (@Sendable (_ folder: String, _ name: String) async -> Int32?)?

    package init(environmentID: String, environmentKey: Secret?, workdir: String, stateDirectory: String? = nil) {
        self.environmentID = environmentID
        self.environmentKey = environmentKey
        self.workdir = workdir
        self.stateDirectory = stateDirectory ?? workdir + "/.postern"
    }
}
