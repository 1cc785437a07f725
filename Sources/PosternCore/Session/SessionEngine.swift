import Logging
import ManagedAgentsAPI
import Synchronization

/// All sessions of a process: finds or makes the runner of each, takes up what an earlier process left, and watches the leases.
package final class SessionEngine: Sendable {
    let context: EngineContext
    /// Runners kept in memory; beyond it the ones that were used longest ago and are quiet are dropped and read again when needed.
    private let capacity: Int
    private struct Entry {
        var runner: SessionRunner
        var lastUse: Int
    }
    private struct Runners {
        var entries: [String: Entry] = [:]
        var uses = 0
    }
    private let runners = Mutex(Runners())
    private let hasResumed = Atomic(false)

    package init(
        store: any Store, provider: any ModelProvider, servers: any MCPServers = NoMCPServers(), limits: SessionLimits = .init(),
        capacity: Int = 4096, logger: Logger
    ) {
        context = EngineContext(store: store, provider: provider, servers: servers, limits: limits, source: StepSource(), logger: logger)
        self.capacity = capacity
    }

    /// Goes on with unfinished sessions. To be called before requests are taken, since what is unfinished then was begun by an earlier process; else `run`
    /// does it.
    package func resume() async throws {
        guard !hasResumed.exchange(true, ordering: .relaxed) else { return }
        for id in try await context.store.unfinishedSessions() { await runner(id).post(.input(.resumed)) }
    }

    /// Resumes, then watches leases until the task is cancelled; stops every runner before it returns.
    package func run() async throws {
        try await resume()
        // A lease that ran out while the server was down gets a moment more: its holder could not reach anybody.
        let grace = context.source.now().advanced(by: .seconds(15))
        for work in try await context.store.leasedWork() {
            if let end = work.leaseExpiresAt { context.leases.watch(work.sessionID, until: max(end, grace)) }
        }
        await context.leases.run(now: context.source.now) { id in await self.runner(id).post(.leaseExpired) }
        let all = runners.withLock { $0.entries.values.map(\.runner) }
        // At the same time: each may have servers to tell of it.
        await withDiscardingTaskGroup { group in for runner in all { group.addTask { await runner.shutDown() } } }
    }

    func runner(_ id: String) -> SessionRunner {
        runners.withLock { runners in
            runners.uses += 1
            if let runner = runners.entries[id]?.runner {
                runners.entries[id]?.lastUse = runners.uses
                return runner
            }
            return Self.insert(SessionRunner(id: id, engine: context), into: &runners, capacity)
        }
    }

    func adopt(_ runner: SessionRunner) {
        runners.withLock { runners in
            runners.uses += 1
            _ = Self.insert(runner, into: &runners, capacity)
        }
    }

    func forget(_ id: String) { runners.withLock { _ = $0.entries.removeValue(forKey: id) } }

    /// The runner in memory, if there is one: for marks that are worth nothing without it.
    func loadedRunner(_ id: String) -> SessionRunner? { runners.withLock { $0.entries[id]?.runner } }

    private static func insert(_ runner: SessionRunner, into runners: inout Runners, _ capacity: Int) -> SessionRunner {
        if runners.entries.count >= capacity {
            // A sixteenth at once, so that the sort is paid seldom. A runner that wakes after it was dropped is harmless: the store's guards
            // let one of two writers through.
            let quiet = runners.entries.filter { $0.value.runner.isQuiet.load(ordering: .relaxed) }.sorted { $0.value.lastUse < $1.value.lastUse }
            for (id, _) in quiet.prefix(max(1, capacity / 16)) { runners.entries.removeValue(forKey: id) }
        }
        runners.entries[runner.id] = Entry(runner: runner, lastUse: runners.uses)
        return runner
    }
}
