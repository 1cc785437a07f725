/// Wakes edges that wait for a change of tunnels.
package final class TunnelChanges: Sendable {
    private let signal = WorkSignal()
    /// There is one list for all edges, so one name.
    private static let name = "tunnels"

    package init() {}

    /// After the change is stored.
    func notify() { signal.notify(Self.name) }

    /// The count to take before looking at the store.
    func count() -> Int { signal.arrivals(Self.name) }

    /// Returns when something has changed since `seen`, after `limit`, or on cancellation.
    func wait(since seen: Int, atMost limit: Duration) async {
        await withTaskGroup { group in
            group.addTask { await self.signal.wait(Self.name, since: seen) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }
}
