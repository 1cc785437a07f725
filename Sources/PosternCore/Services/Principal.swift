/// Who calls.
package enum Principal: Sendable {
    /// A client.
    case apiKey(KeyRecord)
    /// A worker, for its environment's queue.
    case environmentKey(KeyRecord)
    /// A worker, for one session.
    case sessionsToken(WorkRecord)
}

extension Principal {
    /// Holds an API key rather than a worker's credential.
    package var isClient: Bool {
        if case .apiKey = self { true } else { false }
    }

    /// The environment key that calls; nil for a client, and for an item's own token.
    var environmentKeyID: String? {
        if case .environmentKey(let key) = self { key.id } else { nil }
    }
}
