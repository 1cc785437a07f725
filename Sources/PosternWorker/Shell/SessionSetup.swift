import Logging
import ManagedAgentsClient
import PosternAudit
import PosternGate
import PosternJSON
import PosternPolicy
import PosternSandbox
import PosternSandboxWire

/// From the session as the service describes it to rules in force and a sandbox under them.
struct SessionSetup: Sendable {
    let item: WorkItem
    let client: ManagedAgentsClient
    let chooser: PolicyChooser
    let rules: LiveRules
    let gate: ResultGate
    let audit: AuditLog
    let sandbox: SandboxHolder
    /// Reads the words of a redaction dictionary, one a line.
    let words: @Sendable (String) async throws -> [String]
    let timestamp: @Sendable () -> String
    /// Told the id of the session's agent.
    let foundAgent: @Sendable (String?) async -> Void
    /// The way out; `nil` where this worker has none.
    let egress: SessionEgress?
    /// Layers that the sandboxes of this worker lack.
    let layersOff: [String]
    /// By the digest of a ceiling.
    let selfTests: [String: PolicyTestResult]
    /// The key that the session is served with, by name and fingerprint.
    let key: String
    let logger: Logger

    /// Fetches the session, puts its rules in force and lets its sandbox start. What speaks against serving it; `nil` for nothing.
    func begin() async -> SessionRunner.End? {
        let session: JSONObject
        do {
            session = try await client.session(item.sessionID)
        } catch {
            return error.isCancellation ? nil : .failed("the session cannot be fetched: \(error)")
        }
        if let end = obstacle(session) { return end }
        await foundAgent(session["agent"]?["id"]?.string)
        do {
            let policy = try chooser.policy(for: session, environmentID: item.environmentID, environment: item.policyFragment)
            try hold(policy)
            try await open(policy)
            try await apply(policy)
            try await record(
                .sessionStarted(
                    AuditRecord.SessionStart(
                        agentID: session["agent"]?["id"]?.string, environmentID: item.environmentID, workspaceMode: policy.policy.workspace.rawValue,
                        isResumed: item.isResumed)))
            try await record(.keyUsed(name: key, purpose: "the session's events and results"))
            if Task.isCancelled { return nil }
            rules.set(policy)
            await keepSecretsCurrent()
        } catch {
            return .failed("the session's policy cannot be put in force: \(error)")
        }
        await sandbox.prepare()
        return nil
    }

    /// The session was changed while it is served: what it now asks for is taken away as well. Nothing is ever given back.
    func changed() async -> SessionRunner.End? {
        do {
            let session = try await client.session(item.sessionID)
            guard let fragment = try PolicyChooser.fragment(of: session), let (before, after) = rules.narrow(by: fragment) else { return nil }
            try hold(after)
            try await apply(after)
            await egress?.narrow(after, redaction: try await RedactionRules(after.policy.redaction, at: .egress, words: words))
            logger.info("the session's policy is narrower now", metadata: ["policy": "\(after.digest)"])
            if !after.policy.hasSameSandbox(as: before) { await sandbox.renew(because: "the session's policy became narrower") }
            return nil
        } catch let error as ClientError {
            // The wish is not known, so nothing of the session goes on until it is.
            return error.isCancellation ? nil : .failed("the changed session cannot be fetched: \(error)")
        } catch {
            return .failed("the session's narrower policy cannot be put in force: \(error)")
        }
    }

    /// Whether this machine can give what the policy promises. A narrower one is held to what was found of its ceiling.
    private func hold(_ policy: SessionPolicy) throws(SandboxError) {
        // Nothing keeps such a session from the socket that answers are given by.
        guard !policy.policy.tools.asks || !layersOff.contains("sandbox") else {
            throw SandboxError(
                .unavailable,
                "\(policy.policy.name) asks for approvals (tools.ask), and without a sandbox the session could approve its own calls; deny those tools, "
                    + "or run the worker with --sandbox bubblewrap")
        }
        var layersOff = layersOff
        switch selfTests[policy.ceilingDigest] {
        case .fails(let reason):
            throw SandboxError(
                .unavailable,
                "the self-test did not pass under the policy \(policy.ceiling.name), so no session of it is run: \(reason). Mend that and start the "
                    + "worker again")
        case .holds(let further): layersOff += further.filter { !layersOff.contains($0) }
        case nil: break
        }
        guard policy.policy.requiresAllLayers, !layersOff.isEmpty else { return }
        throw SandboxError(
            .unavailable, "\(policy.policy.name) has require_all_layers, and this worker's sandboxes are without \(layersOff.joined(separator: ", "))"
        )
    }

    private func open(_ policy: SessionPolicy) async throws {
        guard policy.policy.hasNetwork else { return }
        guard let egress else {
            throw SessionEgress.Failure(description: "the policy \(policy.policy.name) lets requests out, and this worker has no egress proxy")
        }
        try await egress.start(policy, redaction: try await RedactionRules(policy.policy.redaction, at: .egress, words: words))
    }

    private func apply(_ policy: SessionPolicy) async throws {
        try await prepareGate(policy)
        try await record(
            .policyLoaded(
                AuditRecord.PolicyLoad(
                    name: policy.policy.name, version: Policy.version, digest: policy.digest,
                    ceiling: policy.digest == policy.ceilingDigest ? nil : policy.ceilingDigest)))
    }

    private func prepareGate(_ policy: SessionPolicy) async throws {
        let redaction = try await RedactionRules(policy.policy.redaction, at: .results, words: words) ?? RedactionRules.none
        try gate.prepare(session: item.sessionID, limits: policy.policy.gateLimits, redaction: redaction, secrets: await egress?.secrets.known ?? [])
    }

    /// From now on a secret that changes at its source changes for the session.
    private func keepSecretsCurrent() async {
        let changes = SessionEgress.SecretChanges(
            mask: { if let policy = rules.current { try await prepareGate(policy) } },
            renewSandbox: { reason in await sandbox.renew(because: reason) })
        await egress?.keepSecretsCurrent(changes)
    }

    private func record(_ kind: AuditRecord.Kind) async throws(FileError) {
        try await audit.append(AuditRecord(time: timestamp(), sessionID: item.sessionID, workID: item.id, kind: kind), durable: false)
    }

    private func obstacle(_ session: JSONObject) -> SessionRunner.End? {
        if session["status"]?.string == "terminated" { return .sessionEnded }
        let stores = session["resources"]?.array?.filter { $0["type"]?.string == "memory_store" } ?? []
        if !stores.isEmpty {
            let names = stores.map { $0["name"]?.string ?? $0["memory_store_id"]?.string ?? "?" }.joined(separator: ", ")
            return .failed("the session has memory stores (\(names)), which this worker cannot mount yet; it is not run without them")
        }
        for skill in session["agent"]?["skills"]?.array ?? [] {
            logger.warning("the skill \(skill["skill_id"]?.string ?? "?") is not installed: this worker cannot download skills yet")
        }
        return nil
    }
}
