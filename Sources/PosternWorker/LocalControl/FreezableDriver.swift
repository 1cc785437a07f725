import PosternSandbox

/// The driver of one session's sandboxes, which can all be frozen at once: those that run, and those that start while the session is frozen.
package actor FreezableDriver: SandboxDriver, FreezableSession {
    private let driver: any SandboxDriver
    package nonisolated let name: String
    private var running: [Int: any Sandbox] = [:]
    private var next = 0
    private var isFrozen = false
    private let pauseNetwork: @Sendable (Bool) async -> Void

    /// - Parameter pauseNetwork: holds (`true`) or lets go what is on its way to and from the sandboxes.
    package init(_ driver: any SandboxDriver, pauseNetwork: @escaping @Sendable (Bool) async -> Void = { _ in }) {
        self.driver = driver
        self.pauseNetwork = pauseNetwork
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
        let failure = await forEach { sandbox async throws(SandboxError) in try await sandbox.freeze() }
        // The network is held also where a process could not be stopped.
        await pauseNetwork(true)
        if let failure { throw failure }
    }

    package func thaw() async throws(SandboxError) {
        isFrozen = false
        await pauseNetwork(false)
        if let failure = await forEach({ sandbox async throws(SandboxError) in try await sandbox.thaw() }) { throw failure }
    }

    package func kill() async {
        await withDiscardingTaskGroup { group in
            for sandbox in running.values { group.addTask { await sandbox.stop() } }
        }
    }

    /// All at once; the first failure, after every one was tried.
    private func forEach(_ action: @escaping @Sendable (any Sandbox) async throws(SandboxError) -> Void) async -> SandboxError? {
        await withTaskGroup(of: SandboxError?.self) { group in
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
    }
}
