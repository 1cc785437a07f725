import ServiceLifecycle
import Synchronization

/// One timer that keeps all streams alive: each stream sits in one of the wheel's slots and is touched once a turn.
final class StreamWheel: Service {
    private static let slots = 15

    private struct State {
        var nextID = 0
        var slots = [[Int: @Sendable () -> Void]](repeating: [:], count: StreamWheel.slots)
    }

    private let state = Mutex(State())
    private let turn: Duration

    /// - Parameter turn: How often each stream is touched.
    init(turn: Duration) { self.turn = turn }

    /// Calls `action` once a turn until the returned closure is called.
    func add(_ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        let id = state.withLock { state in
            state.nextID += 1
            state.slots[state.nextID % Self.slots][state.nextID] = action
            return state.nextID
        }
        return { [weak self] in self?.state.withLock { _ = $0.slots[id % Self.slots].removeValue(forKey: id) } }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var slot = 0
            while !Task.isCancelled {
                do { try await Task.sleep(for: self.turn / Self.slots) } catch { return }
                slot = (slot + 1) % Self.slots
                let current = slot
                for action in self.state.withLock({ Array($0.slots[current].values) }) { action() }
            }
        }
    }
}
