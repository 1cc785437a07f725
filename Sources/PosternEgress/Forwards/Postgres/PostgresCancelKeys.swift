import Synchronization

/// The keys by which clients in the sandbox ask for a cancel. The database's own keys never enter the sandbox, so a client can cancel
/// only what came through the same forward.
final class PostgresCancelKeys: Sendable {
    private let keys = Mutex<[PostgresCancelKey: PostgresCancelKey]>([:])

    /// A fresh key that stands for the database's `real` one until it is removed.
    func add(_ real: PostgresCancelKey) -> PostgresCancelKey {
        keys.withLock { keys in
            var own: PostgresCancelKey
            repeat {
                // A process number that looks like one to clients: positive.
                own = PostgresCancelKey(process: .random(in: 1...0x7FFF_FFFF), secret: .random(in: .min ... .max))
            } while keys[own] != nil
            keys[own] = real
            return own
        }
    }

    func real(_ own: PostgresCancelKey) -> PostgresCancelKey? { keys.withLock { $0[own] } }

    func remove(_ own: PostgresCancelKey) { keys.withLock { _ = $0.removeValue(forKey: own) } }
}
