import ManagedAgentsClient
import PosternSandbox
import PosternTelemetry

/// Counts the starts of sandboxes and those that run.
struct MeasuredDriver: SandboxDriver {
    private let driver: any SandboxDriver
    private let metrics: WorkerMetrics
    private let pacing: Pacing

    init(_ driver: any SandboxDriver, _ metrics: WorkerMetrics, _ pacing: Pacing) {
        (self.driver, self.metrics, self.pacing) = (driver, metrics, pacing)
    }

    var name: String { driver.name }

    func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        let began = pacing.now()
        let sandbox: any Sandbox
        do throws(SandboxError) {
            sandbox = try await driver.start(spec)
        } catch {
            metrics.sandboxStarts.increment(labels: [error.code == .cancelled ? "cancelled" : "failed"])
            throw error
        }
        metrics.sandboxStarts.increment(labels: ["started"])
        metrics.sandboxStartDurations.observe(pacing.now() - began)
        metrics.sandboxes.increment()
        // Ends with the sandbox.
        Task { [metrics] in
            _ = await sandbox.ended()
            metrics.sandboxes.decrement()
        }
        return sandbox
    }
}
