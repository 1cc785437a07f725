import PosternTunnelWire

/// Callers that a rule of a policy names. It is enough to be in one of the lists.
package struct PolicySubjects: Hashable, Sendable {
    package var clients: Set<String> = []
    package var agents: Set<Callers.Agent> = []
    package var sessions: Set<String> = []
    package var workspaces: Set<String> = []
    package var persons: Set<String> = []

    package init() {}

    var isNobody: Bool { clients.isEmpty && agents.isEmpty && sessions.isEmpty && workspaces.isEmpty && persons.isEmpty }

    /// Whether the caller is one of them for sure: its certificate says all that is asked for.
    func include(_ identity: RuntimeIdentity) -> Bool { includes(identity) { $0.isMet(by: identity) } }

    /// Whether the caller may be one of them. A rule that takes something away from one version of an agent, or from a person, is for those too that do not
    /// say which one they are.
    func mayInclude(_ identity: RuntimeIdentity) -> Bool {
        includes(identity) { $0.mayBeMet(by: identity) } || identity.person == nil && !persons.isEmpty
    }

    private func includes(_ identity: RuntimeIdentity, _ isAgent: (Callers.Agent) -> Bool) -> Bool {
        func has(_ value: String?, _ list: Set<String>) -> Bool { value.map(list.contains) ?? false }
        return has(identity.client, clients) || agents.contains(where: isAgent) || has(identity.sessionID, sessions)
            || workspaces.contains(identity.workspaceID) || has(identity.person, persons)
    }
}

extension Callers.Agent {
    /// Whether nothing in the certificate says that it is another one.
    fileprivate func mayBeMet(by identity: RuntimeIdentity) -> Bool {
        func fits<Value: Equatable>(_ pinned: Value?, _ said: Value?) -> Bool { pinned == nil || said == nil || pinned == said }
        return id == identity.agentID && fits(version, identity.agentVersion) && fits(configuration, identity.configurationDigest)
    }
}
