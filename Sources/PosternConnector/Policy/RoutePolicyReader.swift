import PosternPolicy

extension DocumentReader {
    /// What a policy, and each of its rules, may ask of a call.
    static let asked = ["methods", "tools", "annotations", "arguments", "read_only", "max_body_bytes", "rate"]

    /// The `policy` of a route. Problems are gathered with their places; unknown keys are problems.
    mutating func policy(_ node: PolicyNode, _ path: PolicyPath) -> RoutePolicy {
        let map = map(node, path, known: ["mode", "rules"] + Self.asked)
        let (pins, file) = pins(map)
        var policy = RoutePolicy(methods: .all, tools: .all)
        policy.rules = asked(map, pins, tools: ["allow", "deny", "pins"])
        policy.allowsPinned = policy.rules.tools.allow == nil
        policy.pins = pins
        policy.pinsFile = file
        if policy.allowsPinned { policy.allowPinned() }
        policy.rules.methods.allow = RoutePolicy.everydayMethods + (policy.rules.methods.allow ?? [])
        policy.mode = choice(map, "mode", RoutePolicy.Mode.self) ?? .enforce
        policy.narrower = policyRules(map, pins)
        return policy
    }

    /// - Parameter tools: the keys below `tools`.
    mutating func asked(_ map: Mapping, _ pins: [String: ToolDigest]?, tools: [String] = ["allow", "deny"]) -> RoutePolicy.Rules {
        var rules = RoutePolicy.Rules(methods: names(map, "methods", known: ["allow", "deny"]), tools: names(map, "tools", known: tools))
        rules.hints = hintRules(map, pins)
        rules.arguments = arguments(map)
        if flag(map, "read_only") == true, let node = map["read_only"] {
            rules.readOnly = true
            demandPins(node, map.path.key("read_only"), pins)
        }
        rules.maxBodyBytes = number(map, "max_body_bytes", in: RoutePolicy.bodyBytes)
        rules.rate = rate(map)
        return rules
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

    /// The pins, or the file that has them.
    private mutating func pins(_ map: Mapping) -> ([String: ToolDigest]?, file: String?) {
        guard let node = map["tools"]?["pins"], node.value != .null else { return (nil, nil) }
        let path = map.path.key("tools").key("pins")
        if let file = node.text, !file.isEmpty { return ([:], file) }
        return (pins(node, path), nil)
    }

    private mutating func pins(_ node: PolicyNode, _ path: PolicyPath) -> [String: ToolDigest] {
        guard let members = node.members, members.count <= ToolCatalogue.most else {
            add(node.place, path, "must be a file, or a mapping of at most \(ToolCatalogue.most) tools to digests, not \(node.kind)")
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

    private mutating func rate(_ map: Mapping) -> RoutePolicy.Rate? {
        guard let node = map["rate"] else { return nil }
        let inner = self.map(node, map.path.key("rate"), known: ["calls_per_minute", "burst", "per"])
        guard let perMinute = number(inner, "calls_per_minute", in: RoutePolicy.Rate.bounds) else {
            if inner.isMap, inner["calls_per_minute"] == nil {
                add(node.place, inner.path.key("calls_per_minute"), "is missing", "say how many requests a minute a caller may make")
            }
            return nil
        }
        return .init(
            perMinute: perMinute, burst: number(inner, "burst", in: RoutePolicy.Rate.bounds) ?? max(1, perMinute / 6),
            per: choice(inner, "per", RoutePolicy.Rate.Share.self) ?? .caller)
    }
}

extension RoutePolicy {
    /// What is pinned was approved; without pins, no tool is.
    mutating func allowPinned() { rules.tools.allow = (pins ?? [:]).keys.sorted().compactMap { try? TextGlob(TextGlob.escaping($0)) } }

    static let everydayMethods = everyday.compactMap { try? TextGlob($0) }
}

extension TextGlob {
    /// The pattern that `text` alone matches.
    static func escaping(_ text: String) -> String { text.reduce(into: "") { $0 += ("*?\\".contains($1) ? "\\" : "") + String($1) } }
}
