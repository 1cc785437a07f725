import ManagedAgentsAPI
import Synchronization

/// What the provider says of each model. Limits are asked for once. Where it does not answer in time nothing is known, sessions go on without, and it is
/// asked again beside them now and then.
final class ModelLimitBook: Sendable {
    private enum Entry {
        case known(ModelLimits)
        case asking(Task<ModelLimits?, Never>)
        /// To be asked again after that time.
        case silent(until: Timestamp)
    }

    /// Bounded: a model that comes when the book is full is asked for each time.
    private static let maximumModels = 1_000
    private static let silence = Duration.seconds(60)

    private let provider: any ModelProvider
    private let now: @Sendable () -> Timestamp
    private let patience: Duration
    private let entries = Mutex<[String: Entry]>([:])

    /// - Parameter patience: How long an answer is waited for.
    init(_ provider: any ModelProvider, patience: Duration = .seconds(5), now: @escaping @Sendable () -> Timestamp) {
        self.provider = provider
        self.patience = patience
        self.now = now
    }

    func limits(of model: String) async -> ModelLimits {
        let asked: Task<ModelLimits?, Never>
        switch entries.withLock({ entry(of: model, in: &$0) }) {
        case .known(let limits): return limits
        case .silent: return ModelLimits()
        case .asking(let task): asked = task
        }
        return await asked.value ?? ModelLimits()
    }

    private func entry(of model: String, in entries: inout [String: Entry]) -> Entry {
        switch entries[model] {
        case .silent(let until)? where until <= now():
            // Nothing that goes on waits for a service that was silent before.
            let next = Entry.silent(until: now().advanced(by: Self.silence))
            entries[model] = next
            Task { _ = await self.ask(model) }
            return next
        case let entry?: return entry
        case nil: break
        }
        let task = Task { await self.ask(model) }
        if entries[model] != nil || entries.count < Self.maximumModels { entries[model] = .asking(task) }
        return .asking(task)
    }

    /// Whether the model is known not to take system messages. The provider remembers; a service that does not answer is not waited for.
    func refusesSystemMessages(_ model: String) async -> Bool {
        await answer { [provider] in try? await provider.acceptsSystemMessages(model) } == false
    }

    private func answer<Value: Sendable>(_ question: @escaping @Sendable () async -> Value?) async -> Value? {
        await withTaskGroup(of: Value?.self) { [patience] group in
            group.addTask { await question() }
            group.addTask {
                _ = try? await Task.sleep(for: patience)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private func ask(_ model: String) async -> ModelLimits? {
        let limits = await answer { [provider] in try? await provider.limits(of: model) }
        entries.withLock { entries in
            guard entries[model] != nil else { return }
            entries[model] = limits.map(Entry.known) ?? .silent(until: now().advanced(by: Self.silence))
        }
        return limits
    }
}
