import ManagedAgentsAPI
import Synchronization

/// One timer for many deadlines, such as the ends of leases or of keys: sleeps until the soonest, then names it. What was prolonged
/// meanwhile is found alive by whoever is told, and watched on.
final class DeadlineClock: Sendable {
    private struct State {
        /// Id → when it is due, as last heard.
        var deadlines: [String: Timestamp] = [:]
        var wake: CheckedContinuation<Void, Never>?
        var soonest: Timestamp?
    }

    private let state = Mutex(State())

    func watch(_ id: String, until deadline: Timestamp) {
        let wake = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.deadlines[id] = deadline
            guard state.soonest.map({ deadline < $0 }) ?? true else { return nil }
            defer { state.wake = nil }
            return state.wake
        }
        wake?.resume()
    }

    func forget(_ id: String) {
        state.withLock { _ = $0.deadlines.removeValue(forKey: id) }
    }

    /// Calls `expired` for each deadline that has passed, until the task is cancelled.
    func run(now: @Sendable () -> Timestamp, expired: @Sendable (String) async -> Void) async {
        while !Task.isCancelled {
            let time = now()
            let due = state.withLock { state -> [String] in
                let due = state.deadlines.filter { $0.value <= time }.map(\.key)
                for id in due { state.deadlines.removeValue(forKey: id) }
                state.soonest = state.deadlines.values.min()
                return due
            }
            for id in due { await expired(id) }
            guard due.isEmpty else { continue }
            await sleep(until: state.withLock { $0.soonest }, now: time)
        }
    }

    private func sleep(until deadline: Timestamp?, now: Timestamp) async {
        await withTaskGroup { group in
            group.addTask { await self.nearerDeadline(than: deadline) }
            if let deadline { group.addTask { try? await Task.sleep(for: deadline - now) } }
            await group.next()
            group.cancelAll()
        }
    }

    private func nearerDeadline(than known: Timestamp?) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    let isNearer = state.deadlines.values.min().map { soonest in known.map { soonest < $0 } ?? true } ?? false
                    if isNearer || Task.isCancelled { return true }
                    state.wake = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state -> CheckedContinuation<Void, Never>? in
                defer { state.wake = nil }
                return state.wake
            }?.resume()
        }
    }
}
