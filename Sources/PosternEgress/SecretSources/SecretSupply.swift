import PosternPolicy

/// The secrets of one session, kept current while it runs. A value that can no longer be found is withdrawn when its lease ends, and at
/// once when its source says that it is gone: what needs it then fails and says why.
package struct SecretSupply: Sendable {
    /// What became of a secret.
    package enum Change: Sendable, Equatable {
        case value(SecretValue)
        case withdrawn(SecretSourceError)
    }

    private let sources: [String: SecretSource]
    private let find: @Sendable (SecretSource) async throws(SecretSourceError) -> SecretResolver.Found
    private let now: @Sendable () -> Double
    private let sleep: @Sendable (Double) async throws -> Void
    private let chance: @Sendable () -> Double

    /// `now`, `sleep` and `chance` are for tests.
    package init(
        _ sources: [String: SecretSource], find: @escaping @Sendable (SecretSource) async throws(SecretSourceError) -> SecretResolver.Found,
        now: @escaping @Sendable () -> Double = SecretSupply.monotonic,
        sleep: @escaping @Sendable (Double) async throws -> Void = { try await Task.sleep(for: .seconds($0)) },
        chance: @escaping @Sendable () -> Double = { .random(in: 0...1) }
    ) {
        self.sources = sources
        self.find = find
        self.now = now
        self.sleep = sleep
        self.chance = chance
    }

    /// Tells `changed` each secret's first value or why it has none, then every change, until the task is cancelled.
    /// - Parameter troubled: told once of each trouble through which the last value is kept.
    package func run(
        troubled: @escaping @Sendable (String, SecretSourceError) async -> Void = { _, _ in },
        _ changed: @escaping @Sendable (String, Change) async -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for (name, source) in sources {
                group.addTask { await keep(source, troubled: { await troubled(name, $0) }) { await changed(name, $0) } }
            }
        }
    }

    private func keep(
        _ source: SecretSource, troubled: @Sendable (SecretSourceError) async -> Void, _ changed: @Sendable (Change) async -> Void
    ) async {
        var last: Change?
        var trouble: SecretSourceError?
        let usual = if case .file = source { SecretSchedule.ofFiles } else { SecretSchedule.usual }
        var schedule = SecretSchedule(now: now(), lease: nil, chance: chance(), usual: usual)
        func tell(_ change: Change) async {
            guard change != last else { return }
            last = change
            await changed(change)
        }
        while !Task.isCancelled {
            do throws(SecretSourceError) {
                let found = try await find(source)
                schedule = SecretSchedule(now: now(), lease: found.lease, chance: chance(), usual: usual)
                trouble = nil
                await tell(.value(found.value))
            } catch {
                schedule.failed(now: now(), chance: chance())
                let isKept = if case .value? = last { error.isTemporary && schedule.isUsable(now: now()) } else { false }
                if !isKept {
                    await tell(.withdrawn(error))
                } else if trouble != error {
                    trouble = error
                    await troubled(error)
                }
            }
            // A value in use ends with its lease, whether or not the next question is due.
            let time = now()
            let wait = min(schedule.next, schedule.end.map { max($0, time + SecretSchedule.shortest) } ?? schedule.next) - time
            do { try await sleep(max(wait, 0)) } catch { return }
        }
    }

    /// Seconds of the machine's monotonic clock.
    package static let monotonic: @Sendable () -> Double = {
        let start = ContinuousClock.now
        return {
            let time = start.duration(to: .now).components
            return Double(time.seconds) + Double(time.attoseconds) / 1e18
        }
    }()
}
