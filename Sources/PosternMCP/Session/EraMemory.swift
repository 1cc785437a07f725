import Synchronization

/// Remembers of which era servers were, by their origin, for all clients that it is given to: a server of the handshake era is then not asked
/// what it does not know. What it says is tried first and never trusted.
package final class EraMemory: Sendable {
    /// Most origins that are remembered; the oldest is forgotten.
    private let capacity: Int
    private let eras = Mutex<(order: [String], eras: [String: Era])>(([], [:]))

    package init(capacity: Int = 1024) { self.capacity = max(1, capacity) }

    package subscript(origin: String) -> Era? { eras.withLock { $0.eras[origin] } }

    package func remember(_ era: Era, of origin: String) {
        eras.withLock { memory in
            if memory.eras.updateValue(era, forKey: origin) == nil { memory.order.append(origin) }
            if memory.order.count > capacity { memory.eras[memory.order.removeFirst()] = nil }
        }
    }

    /// After a failure: the next client finds out anew.
    package func forget(_ origin: String) {
        eras.withLock { memory in
            guard memory.eras.removeValue(forKey: origin) != nil else { return }
            memory.order.removeAll { $0 == origin }
        }
    }
}
