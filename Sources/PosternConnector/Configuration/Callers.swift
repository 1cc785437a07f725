import PosternTunnelWire

/// Who may call a route: nobody, unless named.
package struct Callers: Hashable, Sendable {
    /// Every runtime with a certificate for the tunnel.
    package var any = false
    package var clients: Set<String> = []
    package var agents: Set<String> = []
    package var sessions: Set<String> = []

    package init() {}

    /// Whether `identity` may call. The lists add up: it is enough to be in one of them.
    package func allow(_ identity: RuntimeIdentity) -> Bool {
        func has(_ value: String?, _ list: Set<String>) -> Bool { value.map(list.contains) ?? false }
        return any || has(identity.client, clients) || has(identity.agentID, agents) || has(identity.sessionID, sessions)
    }

    package var isNobody: Bool { !any && clients.isEmpty && agents.isEmpty && sessions.isEmpty }
}
