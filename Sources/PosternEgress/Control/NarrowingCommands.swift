import PosternPolicy

extension EgressCommand {
    /// What the proxy of `session` is told when `after`, which is narrower than the policy that the session began with, comes into force.
    ///
    /// First the secrets: between two commands a request may pass, and it must not carry what the policy takes away.
    package static func narrowing(from before: Policy, to after: Policy, digest: String, session: String) -> [EgressCommand] {
        var commands: [EgressCommand] = [.secrets(session: session, bindings: after.secrets.compactMap(\.binding))]
        for forward in before.forwards {
            guard case .postgres(let postgres) = forward.kind, let name = postgres.secret else { continue }
            let isKept = after.secret(name) != nil && after.forwards.contains { $0.name == forward.name }
            if !isKept { commands.append(.password(session: session, forward: forward.name, nil)) }
        }
        commands.append(.narrow(session: session, after.network, digest: digest))
        commands.append(.forwards(session: session, keep: after.forwards))
        return commands
    }
}
