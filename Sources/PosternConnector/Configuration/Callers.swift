import PosternTunnelWire

/// Who may call a route: nobody, unless named.
package struct Callers: Hashable, Sendable {
    /// Every runtime with a certificate for the tunnel.
    package var any = false
    package var clients: Set<String> = []
    package var agents: Set<Agent> = []
    package var sessions: Set<String> = []

    /// An agent, and what of it may call.
    package struct Agent: Hashable, Sendable, ExpressibleByStringLiteral {
        package var id: String
        /// `nil`: every version.
        package var version: Int?
        /// The digest of its configuration, as the certificate says it; `nil`: every one.
        package var configuration: String?

        package init(id: String, version: Int? = nil, configuration: String? = nil) {
            self.id = id
            self.version = version
            self.configuration = configuration
        }

        package init(stringLiteral id: String) { self.init(id: id) }

        /// A certificate that does not say what is pinned does not pass.
        func isMet(by identity: RuntimeIdentity) -> Bool {
            id == identity.agentID && (version == nil || version == identity.agentVersion)
                && (configuration == nil || configuration == identity.configurationDigest)
        }
    }

    package init() {}

    /// Whether `identity` may call. The lists add up: it is enough to be in one of them.
    package func allow(_ identity: RuntimeIdentity) -> Bool {
        func has(_ value: String?, _ list: Set<String>) -> Bool { value.map(list.contains) ?? false }
        return any || has(identity.client, clients) || agents.contains { $0.isMet(by: identity) } || has(identity.sessionID, sessions)
    }

    package var isNobody: Bool { !any && clients.isEmpty && agents.isEmpty && sessions.isEmpty }
}
