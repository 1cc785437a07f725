import PosternJSON

extension Policy {
    /// The whole policy as one object, every field of it: what is digested, shown, and handed to the egress proxy. `init(json:)` reads it
    /// back to an equal policy.
    package var json: JSON {
        var network: JSONObject = ["egress": .string(egress.rawValue)]
        for (key, value) in self.network.json.object ?? [:] where key != "budgets" { network[key] = value }
        network["upstream"] = upstream.json
        let budgets: JSON = ["results": resultBudgets.json, "egress": self.network.budgets.json]
        return [
            "version": JSON(Self.version),
            "name": .string(name),
            "profile": .string(profile.rawValue),
            "files": files.json,
            "workspace": ["mode": .string(workspace.rawValue)],
            "network": .object(network),
            "secrets": .object(JSONObject(secrets.map { ($0.name, $0.json) })),
            "forwards": .array(forwards.map(\.json)),
            "limits": limits.json,
            "budgets": budgets,
            "variables": .object(JSONObject(variables.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "tools": tools.json,
            "redaction": redaction.json,
            "require_all_layers": .bool(requiresAllLayers),
        ]
    }

    /// Reads what `json` writes. Strict: an unknown key, a wrong kind and a value out of bounds are errors.
    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        guard fields.member("version")?.int == Self.version else {
            throw PolicyValueError(path: ["version"], value: json["version"]?.text ?? "", rule: "must be \(Self.version)")
        }
        name = try fields.required("name")
        profile = try fields.choice("profile", Profile.self) ?? .strict
        requiresAllLayers = try fields.bool("require_all_layers") ?? false
        func section<Value>(_ key: String, _ read: (JSON) throws(PolicyValueError) -> Value) throws(PolicyValueError) -> Value {
            do throws(PolicyValueError) {
                return try read(fields.member(key) ?? [:])
            } catch {
                throw error.below(key)
            }
        }
        files = try section("files", FileRules.init(json:))
        workspace = try section("workspace") { (json: JSON) throws(PolicyValueError) -> WorkspaceMode in
            var fields = try FieldReader(json)
            let mode = try fields.choice("mode", WorkspaceMode.self) ?? .ro
            try fields.finish()
            return mode
        }
        let budgets = try section("budgets") { (json: JSON) throws(PolicyValueError) -> (ResultBudgets, ByteBudgets) in
            var fields = try FieldReader(json)
            let results = try ResultBudgets(json: fields.member("results") ?? [:])
            let egress = try ByteBudgets(json: fields.member("egress") ?? [:])
            try fields.finish()
            return (results, egress)
        }
        resultBudgets = budgets.0
        (network, egress, upstream) = try section("network") {
            (json: JSON) throws(PolicyValueError) -> (NetworkPolicy, EgressMode, UpstreamSettings) in
            var object = try Self.object(json)
            let egress = try Self.choice(object, "egress", EgressMode.self) ?? .perSession
            let upstream = try UpstreamSettings(json: object["upstream"] ?? [:])
            object["egress"] = nil
            object["upstream"] = nil
            return (try NetworkPolicy(json: .object(object)), egress, upstream)
        }
        network.budgets = budgets.1
        secrets = try section("secrets") { (json: JSON) throws(PolicyValueError) -> [PolicySecret] in
            var secrets: [PolicySecret] = []
            for (name, value) in try Self.object(json) {
                do throws(PolicyValueError) {
                    secrets.append(try PolicySecret(name: name, json: value))
                } catch {
                    throw error.below(name)
                }
            }
            return secrets.sorted { $0.name < $1.name }
        }
        forwards = try fields.list("forwards", Forward.init(json:))
        limits = try section("limits", ResourceLimits.init(json:))
        variables = try section("variables") { (json: JSON) throws(PolicyValueError) -> [String: String] in
            var variables: [String: String] = [:]
            for (name, value) in try Self.object(json) { variables[name] = try FieldReader.text(value) }
            return variables
        }
        tools = try section("tools", ToolRules.init(json:))
        redaction = try section("redaction", RedactionSettings.init(json:))
        try fields.finish()
    }

    private static func object(_ json: JSON) throws(PolicyValueError) -> JSONObject {
        guard let object = json.object else { throw PolicyValueError(value: json.text, rule: "must be an object, not \(json.kind)") }
        return object
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ object: JSONObject, _ key: String, _ type: Choice.Type
    ) throws(PolicyValueError) -> Choice? {
        guard let text = object[key] else { return nil }
        guard let choice = text.string.flatMap(Choice.init(rawValue:)) else {
            throw PolicyValueError(path: [key], value: text.text, rule: "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }
}
