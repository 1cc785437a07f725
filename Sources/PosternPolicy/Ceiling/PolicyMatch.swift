import PosternJSON

/// The session that a policy is looked for. The environment is the worker's own, by its configuration: no answer of the control plane names
/// another. The agent is said by the control plane, so it chooses among ceilings of the perimeter and never changes one.
package struct PolicySubject: Sendable, Hashable {
    package var environmentID: String
    /// What the operator calls it on the worker, whatever the control plane does.
    package var environmentName: String?
    package var agentID: String
    package var agentName: String?

    package init(environmentID: String, environmentName: String? = nil, agentID: String, agentName: String? = nil) {
        self.environmentID = environmentID
        self.environmentName = environmentName
        self.agentID = agentID
        self.agentName = agentName
    }
}

/// Which sessions a policy is for. What is empty matches everything; all parts must match.
package struct PolicyMatch: Sendable, Hashable {
    /// Patterns over the environment's id, or the name that the worker was started with.
    package var environments: [TextGlob] = []
    /// Patterns over the agent's id or name.
    package var agents: [TextGlob] = []

    package init() {}

    package var matchesEverything: Bool { environments.isEmpty && agents.isEmpty }

    package func covers(_ subject: PolicySubject) -> Bool {
        Self.one(of: environments, matches: [subject.environmentID, subject.environmentName])
            && Self.one(of: agents, matches: [subject.agentID, subject.agentName])
    }

    private static func one(of globs: [TextGlob], matches texts: [String?]) -> Bool {
        globs.isEmpty || globs.contains { glob in texts.contains { $0.map { glob.matches($0) } ?? false } }
    }

    init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        environments = try fields.list("environments", TextGlob.init(json:))
        agents = try fields.list("agents", TextGlob.init(json:))
        try fields.finish()
    }
}
