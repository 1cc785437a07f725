/// The items that are being served, their number bounded.
actor SessionRegistry {
    private struct Entry {
        var sessionID: String
        var superseded: Signal
        var task: Task<Void, Never>
    }

    private let limit: Int
    private var entries: [Int: Entry] = [:]
    private var next = 0
    private var slotWaiters: [CheckedContinuation<Void, Never>] = []

    init(limit: Int) { self.limit = max(1, limit) }

    /// Starts to serve. A former claim of the same session gives way first: its lease is not this worker's any more.
    func start(_ item: WorkItem, _ serve: @escaping @Sendable (Signal) async -> Void) {
        let former = entries.values.filter { $0.sessionID == item.sessionID }
        for entry in former { entry.superseded.fire() }
        next += 1
        let id = next
        let superseded = Signal()
        let task = Task {
            for entry in former { await entry.task.value }
            await serve(superseded)
            self.ended(id)
        }
        entries[id] = Entry(sessionID: item.sessionID, superseded: superseded, task: task)
    }

    func serves(_ sessionID: String) -> Bool { entries.values.contains { $0.sessionID == sessionID } }

    private func ended(_ id: Int) {
        entries[id] = nil
        for waiter in slotWaiters { waiter.resume() }
        slotWaiters = []
    }

    var isFull: Bool { entries.count >= limit }

    /// Returns when there is room for another session, or when woken.
    func slot() async {
        while entries.count >= limit, !Task.isCancelled {
            await withCheckedContinuation { slotWaiters.append($0) }
        }
    }

    /// Wakes who waits for a slot, so that a cancelled one can see it.
    func wake() {
        for waiter in slotWaiters { waiter.resume() }
        slotWaiters = []
    }

    /// Returns when nothing is served any more.
    func idle() async {
        while let entry = entries.values.first { await entry.task.value }
    }

    func cancelAll() {
        for entry in entries.values { entry.task.cancel() }
    }
}
