/// A script that starts a worker somewhere else for each claimed item, instead of a sandbox of this worker's (`--on-work`).
package struct LauncherConfiguration: Sendable {
    /// Absolute path of an executable file.
    package var script: String
    /// Also gives the script the environment key, as the official CLI does. Whoever holds that key holds the environment's whole queue.
    package var passesEnvironmentKey = false
    /// The service's address, for `ANTHROPIC_BASE_URL`.
    package var baseURL: String
    /// What the operator calls the environment, for the policies of the started worker.
    package var environmentName: String?
    /// The variables that the script inherits; those whose names begin with `ANTHROPIC_` or `POSTERN_` are left out.
    package var environment: [String: String] = [:]
    /// Longest run of one script; `nil` for no bound.
    package var timeLimit: Duration?
    /// How long after the script's end a worker that it started may take to send its first heartbeat.
    package var handoverGrace: Duration = .seconds(60)
    /// Between SIGTERM and SIGKILL: longer than the 25 s that the ready scripts give what they started, shorter than the shutdown of the worker itself.
    package var stopGrace: Duration = .seconds(28)

    package init(script: String, baseURL: String) {
        self.script = script
        self.baseURL = baseURL
    }
}
