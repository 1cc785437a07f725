import PosternPolicy

extension DocumentReader {
    /// The `callers` of a route.
    mutating func callers(_ route: Mapping) -> Callers {
        var callers = Callers()
        // None is nobody, and that is allowed: a route may be closed for a while.
        guard let node = route["callers"] else { return callers }
        let map = map(node, route.path.key("callers"), known: ["any", "clients", "agents", "sessions"])
        callers.any = flag(map, "any") ?? false
        callers.clients = Set(list(map, "clients", Self.name) ?? [])
        callers.agents = agents(map)
        callers.sessions = Set(list(map, "sessions", Self.name) ?? [])
        if callers.any, !callers.clients.isEmpty || !callers.agents.isEmpty || !callers.sessions.isEmpty {
            add(node.place, map.path, "names callers beside \"any\"", "keep one of both")
        }
        return callers
    }

    /// Ids, or mappings that pin what of an agent may call.
    mutating func agents(_ map: Mapping) -> Set<Callers.Agent> {
        guard let node = map["agents"] else { return [] }
        let path = map.path.key("agents")
        guard let elements = node.elements else {
            add(node.place, path, "must be a list, not \(node.kind)")
            return []
        }
        var agents: Set<Callers.Agent> = []
        for (index, element) in elements.enumerated() {
            let path = path.index(index)
            if let text = element.text {
                if text.isEmpty { add(element.place, path, "must not be empty") } else { agents.insert(Callers.Agent(id: text)) }
                continue
            }
            let agent = self.map(element, path, known: ["id", "version", "configuration"])
            let id = required(agent, "id", "name the agent")
            let configuration = text(agent, "configuration")
            if let configuration, !Self.isDigest(configuration), let node = agent["configuration"] {
                add(node.place, path.key("configuration"), value: configuration, "must be sha256: and 64 hexadecimal digits in lower case")
            }
            let version = number(agent, "version", in: 1...Int(Int32.max))
            agents.insert(Callers.Agent(id: id, version: version, configuration: configuration))
        }
        return agents
    }

    private static func name(_ text: String) throws(PolicyValueError) -> String {
        guard !text.isEmpty else { throw PolicyValueError(value: text, rule: "must not be empty") }
        return text
    }

    private static func isDigest(_ text: String) -> Bool {
        let digits = text.dropFirst("sha256:".count)
        return text.hasPrefix("sha256:") && digits.utf8.count == 64 && digits.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }
}
