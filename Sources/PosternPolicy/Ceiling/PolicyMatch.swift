import PosternJSON

/// The session that a policy is looked for, as the claimed work and the wire describe it. Everything here is said by the control plane, so
/// it chooses among ceilings of the perimeter and never changes one.
package struct PolicySubject: Sendable, Hashable {
    package var environmentID: String
    package var environmentName: String?
    package var agentID: String
    package var agentName: String?
    package var agentMetadata: [String: String]

    package init(
        environmentID: String, environmentName: String? = nil, agentID: String, agentName: String? = nil, agentMetadata: [String: String] = [:]
    ) {
        self.environmentID = environmentID
        self.environmentName = environmentName
        self.agentID = agentID
        self.agentName = agentName
        self.agentMetadata = agentMetadata
    }
}

/// Which sessions a policy is for. What is empty matches everything; all parts must match.
package struct PolicyMatch: Sendable, Hashable {
    /// Patterns over the environment's id or name.
    package var environments: [TextGlob] = []
    /// Patterns over the agent's id or name.
    package var agents: [TextGlob] = []
    /// Patterns over values of the agent's metadata.
    package var metadata: [String: [TextGlob]] = [:]

    package init() {}

    package var matchesEverything: Bool { environments.isEmpty && agents.isEmpty && metadata.isEmpty }

    package func covers(_ subject: PolicySubject) -> Bool {
        Self.one(of: environments, matches: [subject.environmentID, subject.environmentName])
            && Self.one(of: agents, matches: [subject.agentID, subject.agentName])
            && metadata.allSatisfy { key, globs in Self.one(of: globs, matches: [subject.agentMetadata[key]]) }
    }

    private static func one(of globs: [TextGlob], matches texts: [String?]) -> Bool {
        globs.isEmpty || globs.contains { glob in texts.contains { $0.map { glob.matches($0) } ?? false } }
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        environments = try fields.list("environments", TextGlob.init(json:))
        agents = try fields.list("agents", TextGlob.init(json:))
        for (key, value) in fields.member("metadata")?.object ?? [:] {
            var globs: [TextGlob] = []
            for element in value.array ?? [] { globs.append(try TextGlob(json: element)) }
            metadata[key] = globs
        }
        try fields.finish()
    }
}
