import Synchronization

/// The questions to the perimeter that have no answer yet: one for each budget and host, however many calls wait for it. A question stays
/// open when the calls that wait for it are gone, so that a client cannot multiply it by coming again.
final class OpenAsks: Sendable {
    private struct Open {
        var task: Task<Void, Never>?
        var waiting: [Int: CheckedContinuation<Bool, any Error>] = [:]
    }
    private struct State {
        var next = 0
        var open: [BudgetLedger.Account: Open] = [:]
        var isClosed = false
    }
    private let state = Mutex(State())

    /// Whether more was granted for `account`. `ask` puts the question and enters what is granted; it is run if no question is open.
    func answer(for account: BudgetLedger.Account, asking ask: @escaping @Sendable () async throws -> Bool) async throws -> Bool {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isWaiting = state.withLock { state in
                    // Cancelled before it was registered: the handler below has found nothing to resume.
                    guard !state.isClosed, !Task.isCancelled else { return false }
                    var open = state.open[account] ?? Open()
                    if open.task == nil { open.task = Task { await self.run(account, ask) } }
                    open.waiting[id] = continuation
                    state.open[account] = open
                    return true
                }
                if !isWaiting { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            state.withLock { $0.open[account]?.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    private func run(_ account: BudgetLedger.Account, _ ask: @Sendable () async throws -> Bool) async {
        let result: Result<Bool, any Error>
        do { result = .success(try await ask()) } catch { result = .failure(error) }
        let waiting = state.withLock { $0.open.removeValue(forKey: account)?.waiting ?? [:] }
        for continuation in waiting.values { continuation.resume(with: result) }
    }

    /// How many calls wait for the question of `account`.
    func waiting(for account: BudgetLedger.Account) -> Int { state.withLock { $0.open[account]?.waiting.count ?? 0 } }

    /// The session is over: withdraws every question, now and later.
    func close() {
        let tasks = state.withLock { state in
            state.isClosed = true
            return state.open.values.compactMap(\.task)
        }
        for task in tasks { task.cancel() }
    }
}
