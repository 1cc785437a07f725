import PosternJSON

extension PolicyFragment {
    /// Reads the value of the metadata key: a JSON object of `FragmentSchema`, or a JSON list of names.
    /// - Parameter source: whose metadata it is, for messages: `session sesn_…`.
    package init(_ text: String, source: String) throws(PolicyProblems) {
        let node = try PolicyText.read(text, file: source, format: .json)
        var reader = SchemaReader()
        if node.elements != nil {
            names = reader.read(node, as: FragmentSchema.names)?.array?.compactMap(\.string)
        } else {
            let json = reader.read(node, as: .object(FragmentSchema.fields)) ?? [:]
            if reader.problems.isEmpty {
                do throws(PolicyValueError) {
                    try take(json)
                } catch {
                    reader.add(error, at: PolicyPath())
                }
            }
        }
        guard reader.problems.isEmpty else { throw PolicyProblems(reader.problems) }
    }

    private mutating func take(_ json: JSON) throws(PolicyValueError) {
        read = try json["files"]?["read"].map(Self.paths)
        write = try json["files"]?["write"].map(Self.paths)
        hidden = try Self.globs(json["files"]?["hidden"])
        protected = try Self.globs(json["files"]?["protected"])
        workspace = json["workspace"]?["mode"]?.string.flatMap(WorkspaceMode.init(rawValue:))
        allowedRules = Self.names(json["network"]?["allow"])
        if let list = json["network"]?["rules"]?.array {
            var rules: [NetworkRule] = []
            for (index, element) in list.enumerated() {
                do throws(PolicyValueError) {
                    rules.append(try NetworkRule(json: element, defaultID: "asked-\(index + 1)"))
                } catch {
                    throw error.below("network", "rules", String(index))
                }
            }
            self.rules = rules
        }
        secrets = Self.names(json["secrets"])
        forwards = Self.names(json["forwards"])
        variables = Self.names(json["variables"])
        if let limits = json["limits"] { self.limits = try ResourceLimits(json: limits) }
        if let budgets = json["budgets"]?["results"] { resultBudgets = try ResultBudgets(json: Self.withoutNone(budgets)) }
        if let budgets = json["budgets"]?["egress"] {
            egressBudgets = try ByteBudgets(json: Self.withoutNone(budgets))
            if budgets["overrun"] == nil { egressBudgets.overrun = .ask }
        }
        if var tools = json["tools"]?.object {
            if tools["allow"] == nil { tools["allow"] = ["*"] }
            self.tools = try ToolRules.List(json: .object(tools))
        }
        requiresAllLayers = json["require_all_layers"]?.bool ?? false
    }

    private static func names(_ json: JSON?) -> [String]? { json?.array?.compactMap(\.string) }

    private static func paths(_ json: JSON) throws(PolicyValueError) -> [HostPath] {
        var paths: [HostPath] = []
        for element in json.array ?? [] { paths.append(try HostPath(try FieldReader.text(element))) }
        return paths
    }

    private static func globs(_ json: JSON?) throws(PolicyValueError) -> [PathGlob] {
        var globs: [PathGlob] = []
        for element in json?.array ?? [] { globs.append(try PathGlob(try FieldReader.text(element))) }
        return globs
    }

    private static func withoutNone(_ json: JSON) -> JSON {
        .object(JSONObject((json.object ?? [:]).filter { $0.value != .string(SchemaKind.none) }.map { ($0.key, $0.value) }))
    }
}
