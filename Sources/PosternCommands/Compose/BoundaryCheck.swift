import PosternSandbox

/// The worker's check of its own boundary, before any work is claimed.
struct BoundaryCheck {
    let driver: any SandboxDriver
    /// The policy in force; see `SandboxSelfTest`.
    var template: SandboxSpec?

    /// - Returns: what held, for the log and the audit.
    /// - Throws: `SandboxError` that names every rule that does not hold.
    @discardableResult
    func run() async throws -> SelfTestReport {
        let scratch = try ScratchFolder("postern-check")
        defer { scratch.remove() }
        // So that another user who can see the host can see that a file is there.
        scratch.openForSearch()
        let report = try await SandboxSelfTest(driver: driver, folder: scratch.path, template: template).run()
        guard report.holds else {
            throw SandboxError(.unavailable, "the sandbox does not hold on this machine, so no work is claimed: \(report.summary)")
        }
        return report
    }
}
