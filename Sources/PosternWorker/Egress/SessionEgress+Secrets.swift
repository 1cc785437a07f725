import Logging
import PosternAudit
import PosternEgress
import PosternPolicy

/// Secrets while a session lives: looked up again, handed on where they changed, taken back where they are gone.
extension SessionEgress {
    /// What a changed secret asks of the parts beside the proxy.
    struct SecretChanges: Sendable {
        /// Has the gate search results for what `secrets` knows now.
        var mask: @Sendable () async throws -> Void
        /// Lets the next call find a sandbox with the present placeholders.
        var renewSandbox: @Sendable (String) async -> Void
    }

    /// Looks the secrets of the policy up for the first time.
    func findSecrets(_ plan: EgressPlan) async {
        secrets = await SessionSecrets(plan.secretsInUse, find: recordedFinder)
        for (name, reason) in secrets.missing {
            logger.error("a secret of the session's policy has no value", metadata: ["secret": "\(name)", "reason": "\(reason)"])
            note("the secret \(name) is not available: \(reason)")
        }
    }

    /// Looks them up again from now on, until the session ends. A variable was read once and does not change.
    func keepSecretsCurrent(_ changes: SecretChanges) {
        guard let plan, link != nil, refreshing == nil else { return }
        let sources = plan.secretsInUse.compactMap { secret -> (String, SecretSource)? in
            if case .variable = secret.source { nil } else { (secret.name, secret.source) }
        }
        guard !sources.isEmpty else { return }
        let supply = SecretSupply(Dictionary(sources) { $1 }, find: recordedFinder)
        refreshing = Task {
            await supply.run(troubled: { name, error in await self.keep(name, in: error) }) { name, change in
                await self.take(name, change, changes)
            }
        }
    }

    /// Looks up, and says in the audit where a login was used for it.
    private var recordedFinder: SecretFinder {
        { [find, records] source async throws(SecretSourceError) in
            let found = try await find(source)
            guard case .vault(let vault) = source else { return found }
            let login = if case .appRole = vault.login { "AppRole" } else { "token" }
            let use = AuditRecord.Kind.keyUsed(name: "Vault login (\(login)) at \(vault.address)", purpose: "\(vault.field) of \(vault.path)")
            do throws(FileError) {
                try await records.write(use, durable: false)
            } catch {
                throw SecretSourceError("vault", "its use cannot be recorded: \(error)", remedy: "see the worker's log")
            }
            return found
        }
    }

    private func take(_ name: String, _ change: SecretSupply.Change, _ changes: SecretChanges) async {
        // What the policy does not give any more is of no interest.
        guard !hasEnded, let secret = policy?.secret(name) else { return }
        do {
            switch change {
            case .value(let value): try await replace(secret, with: value, changes)
            case .withdrawn(let error):
                guard secrets.lose(name) else { return }
                try await withdraw(name, because: error.description)
            }
        } catch {
            // What cannot be recorded or masked does not happen, and nothing else of the session either.
            fail("\(error)")
        }
    }

    private func replace(_ secret: PolicySecret, with value: SecretValue, _ changes: SecretChanges) async throws {
        let bound: BoundSecret?
        var isReshaped = false
        switch secrets.replace(secret, with: value) {
        case .unchanged: return
        case .inPlace(let one): bound = one
        case .reshaped(let one): (bound, isReshaped) = (one, true)
        case .unusable(let reason):
            try await changes.mask()
            return try await withdraw(secret.name, because: reason)
        }
        try await records.write(.secretChanged(.init(name: secret.name, state: .replaced)), durable: false)
        // No answer may come back with the new value before results are searched for it.
        try await changes.mask()
        guard !hasEnded else { return }
        if let bound, let link { link.send(.rotate(session: link.session, bound)) }
        setPasswords(secret.name, value)
        logger.notice("a secret has a new value", metadata: ["secret": "\(secret.name)"])
        guard isReshaped else { return }
        note("the secret \(secret.name) has a new placeholder")
        await changes.renewSandbox("the secret \(secret.name) has a value of another shape, and so another placeholder")
    }

    private func withdraw(_ name: String, because reason: String) async throws {
        if let link { link.send(.suspend(session: link.session, secret: name)) }
        setPasswords(name, nil)
        logger.error("a secret has no value any more", metadata: ["secret": "\(name)", "reason": "\(reason)"])
        note("the secret \(name) is not available any more: \(reason)")
        try await records.write(.secretChanged(.init(name: name, state: .withdrawn, reason: reason)), durable: false)
    }

    /// The last value is used on.
    private func keep(_ name: String, in trouble: SecretSourceError) async {
        logger.error("a secret cannot be looked up; its last value is used on", metadata: ["secret": "\(name)", "reason": "\(trouble)"])
        do {
            try await records.write(.secretChanged(.init(name: name, state: .kept, reason: trouble.description)), durable: false)
        } catch {
            fail("\(error)")
        }
    }

    private func setPasswords(_ secret: String, _ value: SecretValue?) {
        for forward in policy?.forwards ?? [] {
            guard let link, case .postgres(let postgres) = forward.kind, postgres.secret == secret else { continue }
            link.send(.password(session: link.session, forward: forward.name, value))
        }
    }
}
