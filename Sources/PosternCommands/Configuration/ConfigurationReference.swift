/// The page docs/configuration.md, made from the keys.
enum ConfigurationReference {
    static var page: String {
        var lines = [
            "<!-- Made by `postern docs configuration`; `make check` holds it against the code. Edit Sources/PosternCommands/Configuration. -->",
            "# Configuration", "",
            "Each setting has one name in three spellings: the flag `--model-base-url`, the variable `POSTERN_MODEL_BASE_URL` and, in the YAML file that",
            "`--config` (or `POSTERN_CONFIG`) names, `base_url` below `model`. A flag comes before a variable, a variable before the file, the file before the",
            "default. A key that is not listed here, a wrong type or a value out of bounds is an error with file, line and column; a misspelt variable is a warning.",
            "Secrets are read from the environment or from a file that a `…_file` key names, never from an argument or the configuration file.",
        ]
        for section in ConfigurationKey.Section.allCases {
            lines += ["", "## \(title(section))", "", "| name | flag | variable | value | default | what |", "| --- | --- | --- | --- | --- | --- |"]
            for key in ConfigurationKey.all where key.section == section { lines.append(row(key)) }
        }
        lines += ["", "## Exit statuses", "", "| status | meaning |", "| --- | --- |"]
        lines += CommandStatus.allCases.map { "| \($0.rawValue) | \($0.meaning) |" }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func title(_ section: ConfigurationKey.Section) -> String {
        switch section {
        case .serve: "`postern serve`"
        case .worker: "`postern worker poll` and `postern worker run`"
        case .client: "Commands that talk to a control plane"
        }
    }

    private static func row(_ key: ConfigurationKey) -> String {
        let variables = ([key.variable] + key.aliases).map { "`\($0)`" }.joined(separator: ", ")
        // Clients have no file, secrets no flag and no place in a file.
        let name = key.isSecret || key.section == .client ? "" : "`\(key.name)`"
        let flag = key.isSecret ? "" : "`--\(key.flag)`"
        let cells = [name, flag, variables, key.kind.summary, key.fallback.map { "`\($0)`" } ?? "", key.help]
        return "| " + cells.joined(separator: " | ") + " |"
    }
}
