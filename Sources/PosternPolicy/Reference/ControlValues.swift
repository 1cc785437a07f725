/// What a policy says, in words short enough for a table.
struct ControlValues {
    let policy: Policy

    init(_ policy: Policy) { self.policy = policy }

    typealias Setting = ControlMap.Setting

    // MARK: Limits and budgets

    /// By the key below `limits`.
    func limit(_ name: String) -> Setting {
        guard let field = ResourceLimits.fields.first(where: { $0.name == name }), let value = policy.limits[keyPath: field.path] else {
            return Setting(key: "limits.\(name)", value: SchemaKind.none)
        }
        let text =
            switch field.unit {
            case .bytes: Quantity.text(bytes: value)
            case .rate: Quantity.text(bytes: value) + "/s"
            case .percent: "\(value)%"
            case .duration: Quantity.text(milliseconds: value)
            case .count: "\(value)"
            }
        return Setting(key: "limits.\(name)", value: text)
    }

    /// What holds a limit, where this policy sets one.
    func holding(_ name: String, _ text: String) -> String {
        limit(name).value == SchemaKind.none ? "Nothing of this policy: no bound is set" : text
    }

    /// Keys of limits that this policy does not set; a gap where it does not.
    func unbounded(_ names: String...) -> String? {
        let missing = names.map(limit).filter { $0.value == SchemaKind.none }.map { "`\($0.key)`" }
        return missing.isEmpty ? nil : "This policy sets no bound for \(missing.joined(separator: ", "))"
    }

    var resultBudgets: [Setting] {
        let budgets = policy.resultBudgets
        return [("result", budgets.result), ("session", budgets.session), ("day", budgets.day)].map { bytes("budgets.results.\($0.0)", $0.1) }
    }

    var egressBudgets: [Setting] {
        let budgets = policy.network.budgets
        return [("call", budgets.call), ("host", budgets.host), ("session", budgets.session), ("day", budgets.day)].map {
            bytes("budgets.egress.\($0.0)", $0.1)
        } + [Setting(key: "budgets.egress.overrun", value: budgets.overrun.rawValue)]
    }

    private func bytes(_ key: String, _ value: Int?) -> Setting {
        Setting(key: key, value: value.map { Quantity.text(bytes: $0) } ?? SchemaKind.none)
    }

    // MARK: Network and secrets

    var allowedRules: [NetworkRule] { policy.network.rules.filter { $0.verdict == .allow } }

    /// As the worker decides whether a session has a network at all.
    var hasNetwork: Bool { !allowedRules.isEmpty || !policy.forwards.isEmpty }

    var rules: Setting { list("network.rules", allowedRules.map { "\($0.id) (\($0.hosts.map(\.description).joined(separator: " ")))" }) }
    var forwards: Setting { list("forwards", policy.forwards.map { "\($0.name) (\($0.target))" }) }
    var addresses: Setting { list("network.addresses", policy.network.addresses.allowed.map(\.description)) }
    var registries: Setting {
        list("network.registries", allowedRules.filter { $0.id == "registries" }.flatMap { $0.hosts.map(\.description) })
    }
    var egressMode: Setting { Setting(key: "network.egress", value: policy.egress.rawValue) }

    /// What the rules leave open; `nil` where nothing leaves.
    var openRules: String? {
        let opaque = allowedRules.filter(\.opaque).map(\.id)
        let unpinned = allowedRules.filter { !$0.opaque && $0.credential == nil }.map(\.id)
        let parts = [
            opaque.isEmpty ? nil : "Opaque, so counted and not read: \(opaque.joined(separator: ", "))",
            unpinned.isEmpty ? nil : "Without a pinned credential, so open to any account: \(unpinned.joined(separator: ", "))",
        ]
        let text = parts.compactMap { $0 }.joined(separator: ". ")
        return text.isEmpty ? nil : text
    }

    var secrets: Setting {
        list(
            "secrets",
            policy.secrets.map { secret in
                let source =
                    switch secret.source {
                    case .file: "file"
                    case .variable: "variable"
                    case .vault: "vault"
                    }
                return "\(secret.name) (\(source))"
            })
    }
    var variables: Setting { list("variables", policy.variables.keys.sorted()) }

    // MARK: Files, tools, redaction

    var read: Setting { list("files.read", policy.files.read.map(\.description)) }
    var write: Setting { list("files.write", policy.files.write.map(\.description)) }
    var hidden: Setting { Setting(key: "files.hidden", value: count(policy.files.hidden.count, "pattern")) }
    var protected: Setting { Setting(key: "files.protected", value: count(policy.files.protected.count, "pattern")) }
    var workspace: Setting { Setting(key: "workspace.mode", value: policy.workspace.rawValue) }

    var tools: [Setting] {
        let list = policy.tools.list
        return [
            self.list("tools.allow", list.allow.map { "\"\($0)\"" }), self.list("tools.deny", list.deny.map { "\"\($0)\"" }),
            Setting(key: "tools.ask", value: list.ask.isEmpty ? SchemaKind.none : count(list.ask.count, "question")),
        ]
    }

    /// Detectors that do something, by action, then the operator's own.
    var redaction: [Setting] {
        let settings = policy.redaction
        var all: [Setting] = []
        for action in RedactionSettings.Action.allCases where action != .allow {
            let number = settings.detectors.values.filter { $0 == action }.count
            if number > 0 { all.append(Setting(key: "redaction.detectors", value: "\(number) \(action.name)")) }
        }
        if all.isEmpty { all = [Setting(key: "redaction.detectors", value: SchemaKind.none)] }
        let doors = RedactionSettings.Door.allCases.filter(settings.doors.contains).map(\.rawValue)
        all.append(Setting(key: "redaction.doors", value: doors.isEmpty ? SchemaKind.none : doors.joined(separator: ", ")))
        if !settings.patterns.isEmpty { all.append(Setting(key: "redaction.patterns", value: "\(settings.patterns.count)")) }
        if !settings.dictionaries.isEmpty { all.append(Setting(key: "redaction.dictionaries", value: "\(settings.dictionaries.count)")) }
        return all
    }

    var requiresAllLayers: Setting { Setting(key: "require_all_layers", value: "\(policy.requiresAllLayers)") }
    var version: [Setting] { [Setting(key: "version", value: "\(Policy.version)"), Setting(key: "name", value: policy.name)] }

    // MARK: Words

    /// Entries of a list that a table has room for.
    private static let mostEntries = 4

    func list(_ key: String, _ entries: [String]) -> Setting {
        guard !entries.isEmpty else { return Setting(key: key, value: SchemaKind.none) }
        let shown = entries.prefix(Self.mostEntries).joined(separator: ", ")
        let more = entries.count - Self.mostEntries
        return Setting(key: key, value: more > 0 ? "\(shown) and \(more) more" : shown)
    }

    private func count(_ number: Int, _ noun: String) -> String { number == 0 ? SchemaKind.none : "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
