import Logging
import PosternJSON
import PosternSandbox

/// One session's sandbox: started ahead, started again after it was lost, stopped once.
actor SandboxHolder {
    private let driver: any SandboxDriver
    private let spec: @Sendable () async throws -> SandboxSpec
    /// Told of each sandbox that has started.
    private let hasStarted: @Sendable (any Sandbox) async -> Void
    private let logger: Logger
    private var starting: Task<any Sandbox, any Error>?
    private var isStopped = false
    /// Why the next sandbox is not the one before; told to the model once.
    private var notice: String?

    /// `spec` prepares the workspace and says what the sandbox is to be; it runs beside the session's other preparations.
    init(
        driver: any SandboxDriver, logger: Logger, spec: @escaping @Sendable () async throws -> SandboxSpec,
        hasStarted: @escaping @Sendable (any Sandbox) async -> Void = { _ in }
    ) {
        self.driver = driver
        self.spec = spec
        self.hasStarted = hasStarted
        self.logger = logger
    }

    /// Begins to start it; the first call finds it warm.
    func prepare() {
        guard !isStopped else { return }
        _ = task()
    }

    private func task() -> Task<any Sandbox, any Error> {
        if let starting { return starting }
        let (driver, spec, hasStarted) = (driver, spec, hasStarted)
        let task = Task { () async throws -> any Sandbox in
            let sandbox = try await driver.start(try await spec())
            // The session may have ended meanwhile: nobody would stop this one.
            guard !self.isStopped else {
                await sandbox.stop()
                throw SandboxError(.cancelled, "the session is over")
            }
            await hasStarted(sandbox)
            return sandbox
        }
        starting = task
        return task
    }

    /// Runs a call. A sandbox that could not start, or was lost before this call, is started once more.
    func call(_ invocation: ToolInvocation) async throws(SandboxError) -> ToolOutcome {
        let sandbox = try await running()
        do {
            var outcome = try await sandbox.call(invocation)
            if let notice {
                self.notice = nil
                outcome.content.insert(["type": "text", "text": .string(notice)], at: 0)
            }
            return outcome
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

    /// Lets the next call find a fresh sandbox, as the specification is then. Waits until the old one is gone.
    func renew(because reason: String) async {
        guard !isStopped, let old = starting else { return }
        starting = nil
        notice = "[new sandbox: \(reason); processes, shell variables and /tmp of the old one are gone]"
        if let sandbox = try? await old.value { await sandbox.stop() }
    }

    /// Kills everything inside and waits until it is gone.
    func stop() async {
        isStopped = true
        guard let starting else { return }
        self.starting = nil
        if let sandbox = try? await starting.value { await sandbox.stop() }
    }
}
