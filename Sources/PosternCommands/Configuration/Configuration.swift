import PosternPolicy

/// Settings put together: flag before environment before file before default. Immutable once made.
package struct Configuration: Sendable {
    package struct Setting: Sendable, Equatable {
        package var text: String
        /// Where it came from: `--listen`, `POSTERN_LISTEN`, `postern.yaml:3:9` or `default`.
        package var source: String
    }

    private var settings: [String: Setting] = [:]
    /// Variables that look like settings and are none; to be logged.
    package let warnings: [String]
    package let section: ConfigurationKey.Section

    /// - Parameters:
    ///   - flags: by the key's name; absent where the flag was not given.
    ///   - environment: of the process. An empty variable counts as not set.
    /// - Throws: with every problem found, not only the first.
    package init(
        _ section: ConfigurationKey.Section, flags: [String: String], environment: [String: String], file: ConfigurationFile? = nil
    ) throws(ConfigurationError) {
        self.section = section
        var problems: [String] = []
        for key in ConfigurationKey.all where key.section == section {
            guard let setting = Self.setting(of: key, flags, environment, file) else { continue }
            if let problem = key.kind.problem(with: setting.text) {
                problems.append("\(setting.source) \(problem)")
            }
            settings[key.name] = setting
        }
        warnings = Self.unknownVariables(environment)
        guard problems.isEmpty else { throw ConfigurationError(problems) }
    }

    private static func setting(
        of key: ConfigurationKey, _ flags: [String: String], _ environment: [String: String], _ file: ConfigurationFile?
    ) -> Setting? {
        if let text = flags[key.name] { return Setting(text: text, source: "--\(key.flag)") }
        for variable in [key.variable] + key.aliases {
            if let text = environment[variable], !text.isEmpty { return Setting(text: text, source: variable) }
        }
        if let value = file?.values[key.name] { return Setting(text: value.text, source: value.place) }
        return key.fallback.map { Setting(text: $0, source: "default") }
    }

    /// Variables that no part of Postern reads are most likely misspelt. No error: a newer script may set what an older program does not know.
    private static func unknownVariables(_ environment: [String: String]) -> [String] {
        let known = Set(ConfigurationKey.all.map(\.variable)).union(ReservedVariable.allCases.map(\.rawValue))
        return environment.keys.filter { $0.hasPrefix("POSTERN_") && !known.contains($0) }.sorted().map { name in
            let near = known.map { ($0, EditDistance.between($0, name)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
            let suggestion = near.flatMap { $0.1 <= 3 ? "; did you mean \($0.0)?" : nil } ?? ""
            return "unknown variable \(name)\(suggestion)"
        }
    }

    /// Variables with our prefix that are no settings.
    package enum ReservedVariable: String, CaseIterable {
        /// The descriptor from which a re-executed worker reads its secrets.
        case secretDescriptor = "POSTERN_SECRET_FD"
        /// The descriptor from which a worker that was started as root reads what it handed to itself.
        case handoverDescriptor = "POSTERN_HANDOVER_FD"
        /// `scripts/demo` and `scripts/bench`: debug or release.
        case buildConfiguration = "POSTERN_BUILD_CONFIGURATION"
        /// Package.swift: the test targets to compile.
        case tests = "POSTERN_TESTS"
        /// The configuration file of `serve` and `worker`.
        case config = "POSTERN_CONFIG"
        /// Where `postern-init` is, when it is not beside `postern`.
        case initPath = "POSTERN_INIT_PATH"
        /// Scripts and suites: the `postern` to use.
        case binary = "POSTERN_BIN"
    }

    package func setting(_ key: ConfigurationKey) -> Setting? {
        precondition(key.section == section, "a key of another section")
        return settings[key.name]
    }

    package func text(_ key: ConfigurationKey) -> String? { setting(key)?.text }

    /// The value of a key that has a default or that the command demands.
    package func required(_ key: ConfigurationKey) throws(ConfigurationError) -> String {
        if let text = text(key) { return text }
        let variables = ([key.variable] + key.aliases).joined(separator: " or ")
        throw ConfigurationError(
            key.isSecret ? "\(key.name) is missing: set \(variables)" : "\(key.name) is missing: give --\(key.flag), or set \(variables)")
    }

    /// The value of an integer key that has no default; nil where it was not given.
    package func optionalInteger(_ key: ConfigurationKey) throws(ConfigurationError) -> Int? { text(key) == nil ? nil : try integer(key) }

    /// The value of an integer key or one of seconds, which `init` has checked.
    package func integer(_ key: ConfigurationKey) throws(ConfigurationError) -> Int {
        let text = try required(key)
        guard let value = key.kind.number(in: text) else { throw ConfigurationError("\(key.name) must be a whole number") }
        return value
    }
}
