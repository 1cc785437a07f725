import Synchronization

/// The requests for registrations that run at an edge, by the key of the connector that asks.
final class RegistrationPlaces: Sendable {
    /// Of one key at a time. A connector asks once at a time; its last connection may not have ended yet.
    static let most = 2

    private let running = Mutex<[String: Int]>([:])

    /// A place for one request; `nil` where the key has none left.
    func take(_ key: String) -> Place? {
        let isFree = running.withLock { running in
            guard running[key, default: 0] < Self.most else { return false }
            running[key, default: 0] += 1
            return true
        }
        return isFree ? Place(key: key, places: self) : nil
    }

    /// To be left once.
    struct Place: Sendable {
        fileprivate let key: String
        fileprivate let places: RegistrationPlaces

        func leave() {
            places.running.withLock { running in
                let rest = running[key, default: 1] - 1
                running[key] = rest > 0 ? rest : nil
            }
        }
    }
}
