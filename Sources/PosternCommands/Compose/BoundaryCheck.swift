import PosternSandbox

/// The worker's check of its own boundary on this machine, before any work is claimed; `PolicySelfTest` goes on where this holds.
struct BoundaryCheck {
    let driver: any SandboxDriver

    /// - Returns: what held, for the log and the audit.
    /// - Throws: `SandboxError` that names every rule that does not hold.
    @discardableResult
    func run() async throws -> SelfTestReport {
        let scratch = try ScratchFolder("postern-check")
        defer { scratch.remove() }
        // So that another user who can see the host can see that a file is there.
        scratch.openForSearch()
        let report = try await SandboxSelfTest(driver: driver, folder: scratch.path).run()
        guard report.holds else {
            throw SandboxError(.unavailable, "the sandbox does not hold on this machine, so no work is claimed: \(report.summary)")
        }
        return report
    }
}
