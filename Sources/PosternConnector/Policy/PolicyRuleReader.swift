import PosternPolicy

extension DocumentReader {
    /// The `rules` of a policy: what narrows some of the calls.
    mutating func policyRules(_ map: Mapping, _ pins: [String: ToolDigest]?) -> [RoutePolicy.Rule] {
        guard let node = map["rules"] else { return [] }
        let path = map.path.key("rules")
        guard let elements = node.elements, elements.count <= RoutePolicy.mostNarrower else {
            add(node.place, path, "must be a list of at most \(RoutePolicy.mostNarrower) rules, not \(node.kind)")
            return []
        }
        var names: Set<String> = []
        return elements.enumerated().map { index, element in policyRule(element, path.index(index), index, pins, &names) }
    }

    private mutating func policyRule(
        _ node: PolicyNode, _ path: PolicyPath, _ index: Int, _ pins: [String: ToolDigest]?, _ names: inout Set<String>
    ) -> RoutePolicy.Rule {
        let map = map(node, path, known: ["name", "callers", "except", "for"] + Self.asked)
        var rules = asked(map, pins)
        // Further than the everyday ones a rule takes away, what it does not list too.
        if map["methods"]?["allow"] != nil { rules.methods.allow = RoutePolicy.everydayMethods + (rules.methods.allow ?? []) }
        rules.prefix = ruleName(map, &names).map { "rules.\($0)." } ?? "rules[\(index)]."
        var rule = RoutePolicy.Rule(rules)
        rule.callers = map["callers"].map { subjects($0, path.key("callers")) }
        rule.except = map["except"].map { subjects($0, path.key("except")) } ?? PolicySubjects()
        rule.scope = scope(map, pins)
        if map.isMap, map["callers"] == nil, map["except"] == nil, map["for"] == nil {
            add(node.place, path.key("callers"), "is missing", "say whom the rule is for, or with \"for\" of which methods and tools it is")
        }
        return rule
    }

    /// A word for refusals and metrics.
    private mutating func ruleName(_ map: Mapping, _ names: inout Set<String>) -> String? {
        guard let text = text(map, "name"), let node = map["name"] else { return nil }
        let isPlain = text.utf8.count <= 40 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) }
        if !isPlain {
            add(node.place, map.path.key("name"), value: text, "must be at most 40 letters, digits, '-' and '_'")
        } else if !names.insert(text).inserted {
            add(node.place, map.path.key("name"), value: text, "is the name of a rule before it")
        }
        return text
    }

    private mutating func subjects(_ node: PolicyNode, _ path: PolicyPath) -> PolicySubjects {
        let map = map(node, path, known: ["clients", "agents", "sessions", "workspaces", "persons"])
        func names(_ key: String) -> Set<String> {
            Set(
                list(map, key) { (text) throws(PolicyValueError) in
                    guard !text.isEmpty else { throw PolicyValueError(value: text, rule: "must not be empty") }
                    return text
                } ?? [])
        }
        var subjects = PolicySubjects()
        subjects.clients = names("clients")
        subjects.agents = agents(map)
        subjects.sessions = names("sessions")
        subjects.workspaces = names("workspaces")
        subjects.persons = names("persons")
        if map.isMap, subjects.isNobody {
            add(node.place, path, "names nobody", "name at least one client, agent, session, workspace or person, or leave it out")
        }
        return subjects
    }

    private mutating func scope(_ rule: Mapping, _ pins: [String: ToolDigest]?) -> RoutePolicy.Scope {
        guard let node = rule["for"] else { return .init() }
        let map = map(node, rule.path.key("for"), known: ["methods", "tools", "annotations"])
        let methods = list(map, "methods") { (text) throws(PolicyValueError) in try TextGlob(text) } ?? []
        let tools = list(map, "tools") { (text) throws(PolicyValueError) in try TextGlob(text) } ?? []
        let hints = hintPatterns(map, "annotations") ?? []
        if let node = map["annotations"] { demandPins(node, map.path.key("annotations"), pins) }
        do throws(PolicyValueError) {
            let scope = try RoutePolicy.Scope(methods: methods, tools: tools, hints: hints)
            if map.isMap, scope.isEmpty { add(node.place, map.path, "names nothing", "name methods, tools or annotations, or leave it out") }
            return scope
        } catch {
            add(node, map.path, error)
            return .init()
        }
    }

    // MARK: Annotations

    mutating func hintRules(_ map: Mapping, _ pins: [String: ToolDigest]?) -> HintRules {
        guard let node = map["annotations"] else { return HintRules() }
        let inner = self.map(node, map.path.key("annotations"), known: ["allow", "deny"])
        demandPins(node, inner.path, pins)
        return HintRules(allow: hintPatterns(inner, "allow"), deny: hintPatterns(inner, "deny") ?? [])
    }

    /// A list of mappings from hints to what they have to be.
    private mutating func hintPatterns(_ map: Mapping, _ key: String) -> [ToolHints.Pattern]? {
        guard let node = map[key] else { return nil }
        let path = map.path.key(key)
        guard let elements = node.elements else {
            add(node.place, path, "must be a list of mappings of annotations to true or false, not \(node.kind)")
            return nil
        }
        return elements.enumerated().map { index, element in
            let inner = self.map(element, path.index(index), known: ToolHints.Hint.allCases.map(\.rawValue))
            var pattern: ToolHints.Pattern = [:]
            for hint in ToolHints.Hint.allCases { pattern[hint] = flag(inner, hint.rawValue) }
            // It would be met by every tool.
            if inner.isMap, pattern.isEmpty { add(element.place, path.index(index), "names no annotation", "name at least one") }
            return pattern
        }
    }

    /// An annotation that may change after it was looked at says nothing.
    mutating func demandPins(_ node: PolicyNode, _ path: PolicyPath, _ pins: [String: ToolDigest]?) {
        guard pins == nil else { return }
        add(node.place, path, "goes by annotations, which count in pinned definitions only", "pin the tools in tools.pins")
    }
}
