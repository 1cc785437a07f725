import PosternJSON

/// Turns a document that fits the schema into typed values, and reports what the schema cannot say. Parts that do not fit are left out;
/// the caller does not use a policy with problems.
struct PolicyDecoder {
    var reader: SchemaReader
    let profile: Profile
    let denials: MandatoryDenials
    let patternProblem: @Sendable (String) -> String?
    private(set) var match = PolicyMatch()

    init(reader: SchemaReader, profile: Profile, denials: MandatoryDenials, patternProblem: @escaping @Sendable (String) -> String?) {
        self.reader = reader
        self.profile = profile
        self.denials = denials
        self.patternProblem = patternProblem
    }

    mutating func decode(_ json: JSON) -> Policy {
        var policy = Policy()
        policy.profile = profile
        if let name = json["name"]?.string { policy.name = name }
        policy.requiresAllLayers = json["require_all_layers"]?.bool ?? false
        policy.workspace = json["workspace"]?["mode"]?.string.flatMap(WorkspaceMode.init(rawValue:)) ?? .ro
        policy.files = section(json, ["files"], FileRules.init(json:)) ?? FileRules()
        policy.limits = section(json, ["limits"], ResourceLimits.init(json:)) ?? ResourceLimits()
        policy.resultBudgets =
            section(json, ["budgets", "results"], { (json: JSON) throws(PolicyValueError) in try ResultBudgets(json: json.withoutNone) })
            ?? ResultBudgets()
        policy.network.budgets =
            section(json, ["budgets", "egress"], { (json: JSON) throws(PolicyValueError) in try ByteBudgets(json: json.withoutNone) })
            ?? ByteBudgets()
        policy.tools = section(json, ["tools"], ToolRules.init(json:)) ?? ToolRules()
        policy.redaction = section(json, ["redaction"], RedactionSettings.init(json:)) ?? RedactionSettings()
        match = section(json, ["match"], PolicyMatch.init(json:)) ?? PolicyMatch()
        for (name, value) in json["variables"]?.object ?? [:] { policy.variables[name] = value.string }
        network(json["network"] ?? [:], into: &policy)
        policy.secrets = secrets(json)
        policy.forwards = elements(json["forwards"], at: PolicyPath(keys: "forwards")) { (json: JSON, _) throws(PolicyValueError) in
            try Forward(json: json)
        }
        if reader.problems.isEmpty { reader = PolicyChecks(policy: policy, document: json, denials: denials).run(reader, patternProblem) }
        return policy
    }

    private mutating func network(_ json: JSON, into policy: inout Policy) {
        let path = PolicyPath(keys: "network")
        policy.egress = json["egress"]?.string.flatMap(EgressMode.init(rawValue:)) ?? .perSession
        policy.upstream = section(["network": json], ["network", "upstream"], UpstreamSettings.init(json:)) ?? UpstreamSettings()
        policy.network.addresses = section(["network": json], ["network", "addresses"], AddressPolicy.init(json:))?.sorted ?? AddressPolicy()
        policy.network.rules = elements(json["rules"], at: path.key("rules")) { (json: JSON, index: Int) throws(PolicyValueError) in
            try NetworkRule(json: json, defaultID: "rule-\(index + 1)")
        }
        let registries = elements(json["registries"], at: path.key("registries")) { (json: JSON, _) throws(PolicyValueError) in
            try HostPattern(json: json)
        }
        if !registries.isEmpty {
            var rule = NetworkRule(id: "registries", .allow, hosts: registries)
            rule.ports = [443]
            rule.methods = ["GET", "HEAD"]
            policy.network.rules.append(rule)
        }
    }

    private mutating func secrets(_ json: JSON) -> [PolicySecret] {
        var secrets: [PolicySecret] = []
        for (name, value) in json["secrets"]?.object ?? [:] where !reader.hasProblem(below: PolicyPath(keys: "secrets", name)) {
            do throws(PolicyValueError) {
                secrets.append(try PolicySecret(name: name, json: value))
            } catch {
                reader.add(error, at: PolicyPath(keys: "secrets", name))
            }
        }
        return secrets.sorted { $0.name < $1.name }
    }

    /// Each element that fits; one that did not fit the schema is null and is passed over.
    private mutating func elements<Value>(
        _ json: JSON?, at path: PolicyPath, _ read: (JSON, Int) throws(PolicyValueError) -> Value
    ) -> [Value] {
        var values: [Value] = []
        for (index, element) in (json?.array ?? []).enumerated() where !element.isNull {
            do throws(PolicyValueError) {
                values.append(try read(element, index))
            } catch {
                reader.add(error, at: path.index(index))
            }
        }
        return values
    }

    private mutating func section<Value>(_ json: JSON, _ keys: [String], _ read: (JSON) throws(PolicyValueError) -> Value) -> Value? {
        var value: JSON? = json
        for key in keys { value = value?[key] }
        guard let value else { return nil }
        do throws(PolicyValueError) {
            return try read(value.withoutGaps)
        } catch {
            reader.add(error, at: PolicyPath(keys.map(PolicyPath.Element.key)))
            return nil
        }
    }
}

extension JSON {
    /// Without the nulls that stand for list elements that did not fit.
    fileprivate var withoutGaps: JSON {
        switch self {
        case .array(let elements): .array(elements.filter { !$0.isNull }.map(\.withoutGaps))
        case .object(let object): .object(JSONObject(object.map { ($0.key, $0.value.withoutGaps) }))
        default: self
        }
    }

    /// Without the members that lift a bound: for types in which an absent bound is none.
    fileprivate var withoutNone: JSON {
        .object(JSONObject((object ?? [:]).filter { $0.value != .string(SchemaKind.none) }.map { ($0.key, $0.value) }))
    }
}
