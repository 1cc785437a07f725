import PosternPolicy

extension DocumentReader {
    /// The `policy` of a route. Problems are gathered with their places; unknown keys are problems.
    mutating func policy(_ node: PolicyNode, _ path: PolicyPath) -> RoutePolicy {
        let map = map(
            node, path, known: ["mode", "methods", "tools", "arguments", "read_only", "max_body_bytes", "rate", "rules"])
        let methods = names(map, "methods", known: ["allow", "deny"])
        let everyday = RoutePolicy.everyday.compactMap { try? TextGlob($0) }
        let pins = pins(map)
        var tools = names(map, "tools", known: ["allow", "deny", "pins"])
        // What is pinned was approved; without either, no tool is.
        if tools.allow == nil { tools.allow = (pins ?? [:]).keys.sorted().compactMap { try? TextGlob(TextGlob.escaping($0)) } }
        var methodRules = methods
        methodRules.allow = everyday + (methods.allow ?? [])
        var policy = RoutePolicy(methods: methodRules, tools: tools)
        policy.mode = mode(map)
        policy.pins = pins
        policy.rules.arguments = arguments(map)
        policy.rules.readOnly = readOnly(map, pins)
        if let bytes = number(map, "max_body_bytes", in: RoutePolicy.bodyBytes) { policy.maxBodyBytes = bytes }
        policy.rate = rate(map)
        policy.narrower = narrower(map, pins)
        return policy
    }

    private mutating func mode(_ map: Mapping) -> RoutePolicy.Mode {
        guard let text = text(map, "mode"), let node = map["mode"] else { return .enforce }
        if let mode = RoutePolicy.Mode(rawValue: text) { return mode }
        add(node.place, map.path.key("mode"), value: text, "must be one of \(RoutePolicy.Mode.allCases.map(\.rawValue).joined(separator: ", "))")
        return .enforce
    }

    private mutating func names(_ map: Mapping, _ key: String, known: [String]) -> NameRules {
        guard let node = map[key] else { return .all }
        let inner = self.map(node, map.path.key(key), known: known)
        let allow = list(inner, "allow") { (text) throws(PolicyValueError) in try TextGlob(text) }
        let deny = list(inner, "deny") { (text) throws(PolicyValueError) in try TextGlob(text) }
        do throws(PolicyValueError) {
            return try NameRules(allow: allow, deny: deny ?? [])
        } catch {
            add(node, inner.path.key("deny"), error)
            return .all
        }
    }

    private mutating func pins(_ map: Mapping) -> [String: ToolDigest]? {
        guard let node = map["tools"]?["pins"] else { return nil }
        let path = map.path.key("tools").key("pins")
        guard let members = node.members, members.count <= ToolCatalogue.most else {
            add(node.place, path, "must be a mapping of at most \(ToolCatalogue.most) tools to digests, not \(node.kind)")
            return [:]
        }
        var pins: [String: ToolDigest] = [:]
        for member in members where isTool(member, path) {
            if let digest = member.value.text.flatMap(ToolDigest.init) {
                pins[member.key] = digest
            } else {
                add(
                    member.value.place, path.key(member.key), "must be sha256: and 64 hexadecimal digits in lower case",
                    "`postern connector pin` writes it")
            }
        }
        return pins
    }

    private mutating func arguments(_ map: Mapping) -> [String: ArgumentSchema] {
        guard let node = map["arguments"] else { return [:] }
        let path = map.path.key("arguments")
        guard let members = node.members else {
            add(node.place, path, "must be a mapping of tools to schemas, not \(node.kind)")
            return [:]
        }
        var schemas: [String: ArgumentSchema] = [:]
        for member in members where isTool(member, path) { schemas[member.key] = schema(member.value, path.key(member.key)) }
        return schemas
    }

    private mutating func isTool(_ member: PolicyNode.Member, _ path: PolicyPath) -> Bool {
        if RPCMessage.isToolName(member.key) { return true }
        add(
            member.keyPlace, path.key(member.key), value: member.key,
            "must be the name of a tool: at most \(RPCMessage.longestTool) of printable ASCII")
        return false
    }

    private mutating func readOnly(_ map: Mapping, _ pins: [String: ToolDigest]?) -> Bool {
        guard let flag = flag(map, "read_only"), flag, let node = map["read_only"] else { return false }
        // An annotation that may change after it was looked at says nothing.
        if pins == nil {
            add(node.place, map.path.key("read_only"), "goes by annotations, which count in pinned definitions only", "pin the tools in tools.pins")
        }
        return true
    }

    private mutating func rate(_ map: Mapping) -> RoutePolicy.Rate? {
        guard let node = map["rate"] else { return nil }
        let inner = self.map(node, map.path.key("rate"), known: ["calls_per_minute", "burst"])
        guard let perMinute = number(inner, "calls_per_minute", in: RoutePolicy.Rate.bounds) else {
            if inner.isMap, inner["calls_per_minute"] == nil {
                add(node.place, inner.path.key("calls_per_minute"), "is missing", "say how many requests a minute a caller may make")
            }
            return nil
        }
        return .init(perMinute: perMinute, burst: number(inner, "burst", in: RoutePolicy.Rate.bounds) ?? max(1, perMinute / 6))
    }

    private mutating func narrower(_ map: Mapping, _ pins: [String: ToolDigest]?) -> [RoutePolicy.Narrower] {
        guard let node = map["rules"] else { return [] }
        let path = map.path.key("rules")
        guard let elements = node.elements, elements.count <= RoutePolicy.mostNarrower else {
            add(node.place, path, "must be a list of at most \(RoutePolicy.mostNarrower) rules, not \(node.kind)")
            return []
        }
        return elements.enumerated().map { index, element in
            let rule = self.map(element, path.index(index), known: ["callers", "methods", "tools", "arguments", "read_only"])
            let callers = required(
                rule, map: "callers", known: ["clients", "agents", "sessions", "workspaces"], "name whom the rule is for")
            func names(_ key: String) -> Set<String> {
                Set(
                    list(callers, key) { (text) throws(PolicyValueError) in
                        guard !text.isEmpty else { throw PolicyValueError(value: text, rule: "must not be empty") }
                        return text
                    } ?? [])
            }
            var rules = RoutePolicy.Rules(tools: self.names(rule, "tools", known: ["allow", "deny"]))
            rules.arguments = arguments(rule)
            rules.readOnly = readOnly(rule, pins)
            let narrower = RoutePolicy.Narrower(
                clients: names("clients"), agents: names("agents"), sessions: names("sessions"), workspaces: names("workspaces"),
                deniedMethods: self.names(rule, "methods", known: ["deny"]), rules: rules)
            if callers.isMap, narrower.clients.isEmpty, narrower.agents.isEmpty, narrower.sessions.isEmpty, narrower.workspaces.isEmpty {
                add(callers.node.place, callers.path, "names nobody", "name at least one client, agent, session or workspace, or leave the rule out")
            }
            return narrower
        }
    }
}

extension TextGlob {
    /// The pattern that `text` alone matches.
    static func escaping(_ text: String) -> String { text.reduce(into: "") { $0 += ("*?\\".contains($1) ? "\\" : "") + String($1) } }
}
