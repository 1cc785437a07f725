import ArgumentParser
import PosternPolicy

extension Option where Value == String? {
    /// The flag of a setting: its name and help come from the key, so that they are written once.
    init(_ key: ConfigurationKey) {
        var help = key.help
        if let fallback = key.fallback { help += " (default: \(fallback))" }
        help += " [\(([key.variable] + key.aliases).joined(separator: ", "))]"
        self.init(name: .customLong(key.flag), help: ArgumentHelp(stringLiteral: help))
    }
}

/// Flags of settings, read by `Configuration`.
protocol SettingFlags {
    /// Each key with its flag's value.
    var given: [(ConfigurationKey, String?)] { get }
}

extension SettingFlags {
    var flags: [String: String] {
        var flags: [String: String] = [:]
        for (key, value) in given { flags[key.name] = value }
        return flags
    }
}

/// `--config`: the YAML file of `serve` and `worker`.
struct ConfigFileOption: ParsableArguments {
    @Option(name: .long, help: "YAML file with settings; docs/configuration.md lists them. [POSTERN_CONFIG]")
    var config: String?

    /// The file that is meant; `nil` for none.
    func path(environment: [String: String]) -> String? { config ?? environment[Configuration.ReservedVariable.config.rawValue] }

    func file(_ section: ConfigurationKey.Section, environment: [String: String]) throws -> ConfigurationFile? {
        guard let path = path(environment: environment) else { return nil }
        return try ConfigurationFile(TextFile.read(path), name: path, section: section)
    }

    /// The file that was read already by a process that could.
    func file(_ section: ConfigurationKey.Section, handed: PolicySet.File?) throws -> ConfigurationFile? {
        try handed.map { try ConfigurationFile($0.text, name: $0.name, section: section) }
    }
}
