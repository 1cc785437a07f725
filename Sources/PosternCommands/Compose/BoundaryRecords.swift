import Logging
import PosternAudit
import PosternPolicy
import PosternSandbox
import PosternWorker

/// What the self-tests at a worker's start come to: lines of the log, records of the audit, and what sessions are held to.
struct BoundaryRecords {
    let requiresAllLayers: Bool
    let logger: Logger
    private(set) var records: [AuditRecord.Kind] = []
    /// Missing whatever the policy.
    private(set) var layersOff: [String] = []
    private(set) var selfTests: [String: PolicyTestResult] = [:]
    private var degraded: [SelfTestReport.Finding] = []

    init(requiresAllLayers: Bool, logger: Logger) {
        (self.requiresAllLayers, self.logger) = (requiresAllLayers, logger)
    }

    /// Of the machine, where every boundary holds.
    mutating func add(_ report: SelfTestReport) {
        logger.debug("the boundary holds")
        let missing = report.findings.filter { $0.verdict == .degraded }
        layersOff = missing.map(\.boundary)
        note(missing)
        records.append(.selfTest(AuditRecord.SelfTest(checks: Self.checks(report.findings))))
    }

    /// Of the policies that share a shape.
    mutating func add(_ outcome: PolicySelfTest.Outcome) {
        for loaded in outcome.policies { selfTests[loaded.policy.digest] = outcome.result }
        note(outcome.degraded)
        var checks = Self.checks(outcome.findings)
        if case .failure = outcome.report { checks = ["start": false] }
        records.append(.selfTest(AuditRecord.SelfTest(checks: checks, policies: outcome.names)))
        guard let failure = outcome.failure else { return }
        logger.error(
            "the sandbox does not hold under a policy, so no session of it is run: \(failure)",
            metadata: ["policy": "\(outcome.names.joined(separator: ", "))"])
    }

    private mutating func note(_ missing: [SelfTestReport.Finding]) {
        for finding in missing where !degraded.contains(finding) {
            degraded.append(finding)
            logger.warning("a layer of the sandbox is not in force", metadata: ["layer": "\(finding.boundary)", "reason": "\(finding.detail)"])
            records.append(.layerOff(layer: finding.boundary, reason: finding.detail))
        }
    }

    private static func checks(_ findings: [SelfTestReport.Finding]) -> [String: Bool] {
        Dictionary(findings.map { ($0.boundary, $0.verdict != .fails) }) { $0 && $1 }
    }

    /// - Throws: where every layer is required and one is missing.
    func hold() throws(SandboxError) {
        guard requiresAllLayers, !degraded.isEmpty else { return }
        throw SandboxError(
            .unavailable,
            "require_all_layers is set and not every layer is in force: " + degraded.map { "\($0.boundary): \($0.detail)" }.joined(separator: "; "))
    }
}
