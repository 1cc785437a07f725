import Synchronization

/// Something that happens once, and whoever listens is told, also who comes late.
final class Signal: Sendable {
    private struct State {
        var hasFired = false
        var next = 0
        var listeners: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    var hasFired: Bool { state.withLock { $0.hasFired } }

    func fire() {
        let listeners = state.withLock { state in
            state.hasFired = true
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener() }
    }

    /// Calls `action` once, now or later; the number is for `remove`.
    @discardableResult
    func onFire(_ action: @escaping @Sendable () -> Void) -> Int {
        let id: Int? = state.withLock { state in
            guard !state.hasFired else { return nil }
            state.next += 1
            state.listeners[state.next] = action
            return state.next
        }
        if id == nil { action() }
        return id ?? 0
    }

    /// Returns once it has fired, or the task is cancelled.
    func wait() async {
        let (fired, feed) = AsyncStream.makeStream(of: Void.self)
        let id = onFire { feed.finish() }
        for await _ in fired {}
        remove(id)
    }

    /// The same, for no longer than this.
    func wait(atMost time: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: time) }
            await group.next()
            group.cancelAll()
        }
    }

    func remove(_ id: Int) { state.withLock { _ = $0.listeners.removeValue(forKey: id) } }
}
