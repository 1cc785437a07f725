import PosternSandbox

/// The driver of one session's sandboxes, which can all be frozen at once: those that run, and those that start while the session is frozen.
package actor FreezableDriver: SandboxDriver, FreezableSession {
    private let driver: any SandboxDriver
    package nonisolated let name: String
    private var running: [Int: any Sandbox] = [:]
    private var next = 0
    private var isFrozen = false

    package init(_ driver: any SandboxDriver) {
        self.driver = driver
        name = driver.name
    }

    package func start(_ spec: SandboxSpec) async throws(SandboxError) -> any Sandbox {
        let sandbox = try await driver.start(spec)
        next += 1
        let id = next
        running[id] = sandbox
        // Ends with the sandbox.
        Task {
            _ = await sandbox.ended()
            self.forget(id)
        }
        if isFrozen {
            do throws(SandboxError) {
                try await sandbox.freeze()
            } catch {
                await sandbox.stop()
                throw error
            }
        }
        return sandbox
    }

    private func forget(_ id: Int) { running[id] = nil }

    package func freeze() async throws(SandboxError) {
        isFrozen = true
        try await forEach { sandbox async throws(SandboxError) in try await sandbox.freeze() }
    }

    package func thaw() async throws(SandboxError) {
        isFrozen = false
        try await forEach { sandbox async throws(SandboxError) in try await sandbox.thaw() }
    }

    package func kill() async {
        await withDiscardingTaskGroup { group in
            for sandbox in running.values { group.addTask { await sandbox.stop() } }
        }
    }

    /// All at once; the first failure, after every one was tried.
    private func forEach(_ action: @escaping @Sendable (any Sandbox) async throws(SandboxError) -> Void) async throws(SandboxError) {
        let failure: SandboxError? = await withTaskGroup(of: SandboxError?.self) { group in
            for sandbox in running.values {
                group.addTask {
                    do throws(SandboxError) {
                        try await action(sandbox)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var failure: SandboxError?
            for await result in group { failure = failure ?? result }
            return failure
        }
        if let failure { throw failure }
    }
}
