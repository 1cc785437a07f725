extension Policy {
    /// What both policies allow. The name stays this policy's. Idempotent, and never wider than either side: see `isSubset(of:)`.
    package func narrowed(by other: Policy) -> Policy {
        var both = self
        if other.profile == .offline { both.profile = .offline }
        both.files = files.narrowed(by: other.files)
        both.workspace = min(workspace, other.workspace)
        both.network = network.narrowed(by: other.network)
        // In one order, whichever side comes first: what allows the same has the same digest.
        both.network.addresses = both.network.addresses.sorted
        both.egress = egress.narrowed(by: other.egress)
        // How the perimeter reaches the Internet is the ceiling's to say; it allows nothing by itself.
        both.upstream = upstream
        both.secrets = secrets.compactMap { mine in
            if let theirs = other.secret(mine.name), let narrowed = mine.narrowed(by: theirs) { return narrowed }
            // The corporate proxy's password is the perimeter's own: without a binding no session can use it.
            return mine.name == upstream.proxySecret ? PolicySecret(name: mine.name, source: mine.source) : nil
        }
        both.forwards = forwards.compactMap { mine in
            guard let theirs = other.forwards.first(where: { $0.name == mine.name }), let forward = mine.narrowed(by: theirs) else { return nil }
            // A forward whose password is gone could only be refused by the server.
            if case .postgres(let postgres) = forward.kind, let name = postgres.secret, both.secret(name) == nil { return nil }
            return forward
        }
        both.limits = limits.narrowed(by: other.limits)
        both.resultBudgets = resultBudgets.narrowed(by: other.resultBudgets)
        both.variables = variables.filter { other.variables[$0.key] == $0.value }
        both.tools = tools.narrowed(by: other.tools)
        both.redaction = redaction.narrowed(by: other.redaction)
        both.requiresAllLayers = requiresAllLayers || other.requiresAllLayers
        return both
    }
}

extension AddressPolicy {
    /// The same blocks in the order of their texts.
    var sorted: AddressPolicy { AddressPolicy(allowed: allowed.sorted { $0.description < $1.description }) }
}
