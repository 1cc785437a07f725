/// What the policy is asked about: a connection of which only the destination is known yet, or one request on it.
package struct NetworkRequest: Sendable, Hashable {
    /// What only a readable request shows.
    package struct Content: Sendable, Hashable {
        package var method: String
        package var path: String
        /// Whether the request came over TLS.
        package var encrypted: Bool
        /// Secrets whose placeholder the request carries where their binding says.
        package var credentials: Set<String>
        /// A header with a credential that is none of Postern's placeholders; `nil` for none.
        package var foreignCredential: String?

        package init(method: String, path: String, encrypted: Bool, credentials: Set<String> = [], foreignCredential: String? = nil) {
            self.method = method
            self.path = path
            self.encrypted = encrypted
            self.credentials = credentials
            self.foreignCredential = foreignCredential
        }
    }

    package var host: CanonicalHost
    package var port: UInt16
    /// `nil` while only the destination is known.
    package var content: Content?

    package init(host: CanonicalHost, port: UInt16, content: Content? = nil) {
        self.host = host
        self.port = port
        self.content = content
    }
}

/// The policy's answer, with the words for whoever is refused.
package struct NetworkDecision: Sendable, Hashable {
    package var verdict: NetworkRule.Verdict
    /// The rule that decided; `nil` when no rule meant the request.
    package var rule: String?
    /// One sentence without a full stop.
    package var reason: String
    /// What an operator would change; empty for what is allowed.
    package var remedy: String
    /// TLS is to be passed through unread.
    package var opaque = false
    /// Secrets that the request has to carry.
    package var credentials: Set<String> = []
    /// Protocols to which the request may switch.
    package var upgrades: Set<String> = []
    /// The rule's bounds on the bytes of the call.
    package var maximumSent: Int?
    package var maximumReceived: Int?

    package init(_ verdict: NetworkRule.Verdict, rule: String?, reason: String, remedy: String = "") {
        self.verdict = verdict
        self.rule = rule
        self.reason = reason
        self.remedy = remedy
    }
}
