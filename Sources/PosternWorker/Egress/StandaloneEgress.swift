import Logging
import ManagedAgentsAPI
import ManagedAgentsClient
import PosternAudit
import PosternEgress
import PosternGate
import PosternPolicy
import PosternSandbox

/// The way out of one sandbox that no session stands behind (`sandbox run`): the proxy of a worker's session, without the worker. Nobody is there
/// to approve anything, so what asks is refused.
package struct StandaloneEgress: Sendable {
    private let egress: SessionEgress
    private let audit: AuditLog
    private let policy: Policy
    private let learns: Bool
    private let words: @Sendable (String) throws -> [String]

    /// - Parameters:
    ///   - folder: keeps the audit that the proxy waits for; for this command only.
    ///   - words: reads a redaction dictionary, one word a line.
    ///   - decided: is given each decision, in order; it must not wait.
    package init(
        policy: Policy, learns: Bool, folder: String, launcher: any EgressLauncher, find: @escaping SecretFinder,
        words: @escaping @Sendable (String) throws -> [String], decided: @escaping @Sendable (EgressDecision) -> Void, logger: Logger
    ) async throws {
        let audit = try await Blocking.run { () throws(FileError) in
            try AuditLog(path: "\(folder)/audit.jsonl", key: try AuditKey.load(path: "\(folder)/audit.key"))
        }
        let timestamp: @Sendable () -> String = { Timestamp.now().description }
        let item = WorkItem(id: "", environmentID: "", sessionID: Self.session, secret: nil, needsAck: false)
        egress = SessionEgress(
            item: item, open: { _ in try await OwnEgress(session: Self.session, launcher: launcher) }, find: find,
            records: EgressRecords(audit: audit, sessionID: Self.session, workID: "", timestamp: timestamp), desk: ApprovalDesk(),
            patience: .milliseconds(1), pacing: .live,
            usage: EgressUsage(book: ByteBook(), session: Self.session, day: { String(timestamp().prefix(10)) }),
            decisions: DecisionFeed(tap: decided), failed: { logger.error("\($0)") }, logger: logger)
        self.audit = audit
        self.policy = policy
        self.learns = learns
        self.words = words
    }

    package static let session = "sandbox-run"

    /// Starts the proxy; throws where it does not come up. A policy that lets nothing out has none, unless it is to be learned.
    package func start() async throws {
        guard learns || policy.hasNetwork else { return }
        try await egress.start(
            SessionPolicy(ceiling: policy), redaction: try await RedactionRules(policy.redaction, at: .egress, words: words), learns: learns)
    }

    /// Gives a sandbox that is to be started what it needs to find the proxy.
    package func prepare(_ spec: inout SandboxSpec) async { await egress.view?.prepare(&spec) }

    /// Hands the sandbox's sockets to the proxy.
    package func attach(_ sandbox: any Sandbox) async { await egress.attach(sandbox) }

    /// Ends the proxy; every decision has been told then.
    package func stop() async {
        await egress.stop()
        await audit.finish()
    }
}
