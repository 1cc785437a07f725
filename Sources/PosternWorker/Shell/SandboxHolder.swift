import Logging
import PosternSandbox

/// One session's sandbox: started ahead, started again after it was lost, stopped once.
actor SandboxHolder {
    private let driver: any SandboxDriver
    private let spec: @Sendable () async throws -> SandboxSpec
    private let logger: Logger
    private var starting: Task<any Sandbox, any Error>?
    private var isStopped = false

    /// `spec` prepares the workspace and says what the sandbox is to be; it runs beside the session's other preparations.
    init(driver: any SandboxDriver, logger: Logger, spec: @escaping @Sendable () async throws -> SandboxSpec) {
        self.driver = driver
        self.spec = spec
        self.logger = logger
    }

    /// Begins to start it; the first call finds it warm.
    func prepare() { _ = task() }

    private func task() -> Task<any Sandbox, any Error> {
        if let starting { return starting }
        let (driver, spec) = (driver, spec)
        let task = Task { () async throws -> any Sandbox in try await driver.start(try await spec()) }
        starting = task
        return task
    }

    /// Runs a call. A sandbox that could not start, or was lost before this call, is started once more.
    func call(_ invocation: ToolInvocation) async throws(SandboxError) -> ToolOutcome {
        let sandbox = try await running()
        do {
            return try await sandbox.call(invocation)
        } catch {
            if error.code == .lost { starting = nil }
            throw error
        }
    }

    private func running() async throws(SandboxError) -> any Sandbox {
        var last = SandboxError(.cancelled, "the session is over")
        for _ in 0..<2 where !isStopped {
            let attempt = task()
            do {
                return try await attempt.value
            } catch {
                last = error as? SandboxError ?? SandboxError(.startFailed, "\(error)")
                if starting == attempt { starting = nil }
                logger.error("sandbox: \(last)")
            }
        }
        throw last
    }

    /// Kills everything inside and waits until it is gone.
    func stop() async {
        isStopped = true
        guard let starting else { return }
        self.starting = nil
        if let sandbox = try? await starting.value { await sandbox.stop() }
    }
}
