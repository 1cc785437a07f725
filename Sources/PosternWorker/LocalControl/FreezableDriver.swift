import PosternSandbox

/// The driver of one session's sandboxes, which can all be frozen at once: those that run, and those that start while the session is frozen.
package actor FreezableDriver: SandboxDriver, FreezableSession {
    private let driver: any SandboxDriver
    package nonisolated let name: String
    private var running: [Int: any Sandbox] = [:]
    private var next = 0
    private var isFrozen = false
    private let pauseNetwork: @Sendable (Bool) async -> Bool
    private let killPatience: Duration

    /// - Parameters:
    ///   - killPatience: what is not dead by then is said to survive.
    ///   - pauseNetwork: holds (`true`) or lets go what is on its way to and from the sandboxes; `false` when that had to be cut instead.
    package init(
        _ driver: any SandboxDriver, killPatience: Duration = .seconds(5), pauseNetwork: @escaping @Sendable (Bool) async -> Bool = { _ in true }
    ) {
        self.driver = driver
        self.killPatience = killPatience
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

    package func freeze() async throws(SandboxError) -> Int {
        isFrozen = true
        // The network is held also where a process cannot be stopped.
        async let isHeld = pauseNetwork(true)
        let counts = await forEach { sandbox async throws(SandboxError) in try await sandbox.freeze() }
        // Without its network the session cannot go on: it is said to be killed, not to wait for a thaw.
        guard await isHeld else { throw SandboxError(.lost, "the egress proxy did not hold its connections in time and was ended") }
        return try counts.get().reduce(0, +)
    }

    package func thaw() async throws(SandboxError) {
        isFrozen = false
        _ = await pauseNetwork(false)
        _ = try await forEach { sandbox async throws(SandboxError) in try await sandbox.thaw() }.get()
    }

    package func kill() async -> ProcessTally {
        let patience = killPatience
        return await withTaskGroup(of: ProcessTally.self) { group in
            for sandbox in running.values { group.addTask { await Self.kill(sandbox, patience) } }
            var sum = ProcessTally()
            for await tally in group { sum = sum + tally }
            return sum
        }
    }

    private static func kill(_ sandbox: any Sandbox, _ patience: Duration) async -> ProcessTally {
        let before = await sandbox.processCount() ?? 0
        let isGone = Signal()
        // A process that the kernel keeps from dying keeps nobody waiting.
        Task {
            await sandbox.stop()
            isGone.fire()
        }
        await isGone.wait(atMost: patience)
        guard !isGone.hasFired else { return ProcessTally(killed: before) }
        // Of what nobody counts, one at least is left.
        let after = max(1, await sandbox.processCount() ?? 1)
        return ProcessTally(killed: max(0, before - after), survivors: after)
    }

    /// All at once; the first failure, after every one was tried.
    private func forEach<Value: Sendable>(
        _ action: @escaping @Sendable (any Sandbox) async throws(SandboxError) -> Value
    ) async -> Result<[Value], SandboxError> {
        await withTaskGroup(of: Result<Value, SandboxError>.self) { group in
            for sandbox in running.values {
                group.addTask {
                    do throws(SandboxError) {
                        return .success(try await action(sandbox))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            var (values, failure): ([Value], SandboxError?) = ([], nil)
            for await result in group {
                switch result {
                case .success(let value): values.append(value)
                case .failure(let error): failure = failure ?? error
                }
            }
            return failure.map { .failure($0) } ?? .success(values)
        }
    }
}
