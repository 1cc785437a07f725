import ManagedAgentsClient
import Synchronization

/// Time that moves only when a test says so.
final class ManualClock: Sendable {
    private struct Sleeper {
        var id: Int
        var due: Duration
        var waiter: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Duration = .zero
        var next = 0
        var sleepers: [Sleeper] = []
        var cancelled: Set<Int> = []
        /// Every duration that was asked for, in order.
        var asked: [Duration] = []
        var watchers: [(count: Int, matches: @Sendable (Duration) -> Bool, waiter: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let random: Double

    init(random: Double = 0.5) { self.random = random }

    var now: Duration { state.withLock { $0.now } }
    var asked: [Duration] { state.withLock { $0.asked } }

    var pacing: Pacing {
        let random = random
        return Pacing(now: { self.now }, sleep: { try await self.sleep($0) }, random: { random })
    }

    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now += duration
            let now = state.now
            let due = state.sleepers.filter { $0.due <= now }
            state.sleepers.removeAll { $0.due <= now }
            return due
        }
        for sleeper in due.sorted(by: { $0.due < $1.due }) { sleeper.waiter.resume() }
    }

    /// Returns once somebody has asked `count` times for a sleep that matches.
    func asks(_ count: Int = 1, where matches: @escaping @Sendable (Duration) -> Bool) async {
        await withCheckedContinuation { waiter in
            let isDone = state.withLock { state in
                if state.asked.filter(matches).count >= count { return true }
                state.watchers.append((count, matches, waiter))
                return false
            }
            if isDone { waiter.resume() }
        }
    }

    private func sleep(_ duration: Duration) async throws {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: CheckedContinuation<Void, any Error>) in
                let (cancelled, done, met) = state.withLock { state -> (Bool, Bool, [CheckedContinuation<Void, Never>]) in
                    state.asked.append(duration)
                    let asked = state.asked
                    let met = state.watchers.filter { watcher in asked.filter(watcher.matches).count >= watcher.count }.map(\.waiter)
                    state.watchers.removeAll { watcher in asked.filter(watcher.matches).count >= watcher.count }
                    if state.cancelled.remove(id) != nil { return (true, false, met) }
                    if duration <= .zero { return (false, true, met) }
                    state.sleepers.append(Sleeper(id: id, due: state.now + duration, waiter: waiter))
                    return (false, false, met)
                }
                for watcher in met { watcher.resume() }
                if cancelled { waiter.resume(throwing: CancellationError()) }
                if done { waiter.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index).waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
