import ManagedAgentsClient

/// What a launcher script gets: its variables and its standard input.
enum LauncherEnvironment {
    /// The variable that marks every process of one run, so that all of them can be found and ended.
    static let mark = "POSTERN_LAUNCH"

    /// `NAME=value`, sorted. The item's own secret, never the environment key unless the configuration says so.
    static func variables(_ launcher: LauncherConfiguration, _ item: WorkItem, environmentKey: String?, mark value: String) -> [String] {
        var variables = launcher.environment.filter { name, _ in !name.hasPrefix("ANTHROPIC_") && !name.hasPrefix("POSTERN_") }
        variables["ANTHROPIC_WORK_ID"] = item.id
        variables["ANTHROPIC_ENVIRONMENT_ID"] = item.environmentID
        variables["POSTERN_ENVIRONMENT_NAME"] = launcher.environmentName
        variables["ANTHROPIC_SESSION_ID"] = item.sessionID
        variables["ANTHROPIC_BASE_URL"] = launcher.baseURL
        variables["ANTHROPIC_WORK_SECRET"] = item.secret?.value
        variables["ANTHROPIC_WORK_POLICY"] = item.policyFragment
        if launcher.passesEnvironmentKey { variables["ANTHROPIC_ENVIRONMENT_KEY"] = environmentKey }
        variables[mark] = value
        return variables.filter { !$0.key.utf8.contains(0) && !$0.value.utf8.contains(0) }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}
