import Logging
import ManagedAgentsAPI
import PosternJSON

/// What every session's runner shares.
struct EngineContext: Sendable {
    let store: any Store
    let provider: any ModelProvider
    let hub = EventHub()
    let signal = WorkSignal()
    let leases = DeadlineClock()
    let limits: SessionLimits
    let source: StepSource
    let logger: Logger

    func work(_ sessionID: String) async throws(APIError) -> WorkRecord? {
        do {
            return try await store.work(sessionID)
        } catch {
            throw error.apiError
        }
    }

    /// Whether a worker's credential holds the session's lease now.
    func holdsLease(_ sessionID: String, _ principal: Principal) async throws(APIError) -> Bool {
        guard let work = try await work(sessionID), work.isLeased else { return false }
        switch principal {
        case .apiKey: return false
        case .environmentKey(let key): return key.environmentID == work.environmentID && work.keyID == key.id
        case .sessionsToken(let held): return held.sessionID == sessionID && held.tokenHash == work.tokenHash
        }
    }

    /// The environment's choice: its metadata key `postern.redelivery`.
    func redelivery(environmentID: String) async throws(APIError) -> Redelivery {
        do {
            let environment = try await store.environment(environmentID)
            return environment?.body["metadata"]?["postern.redelivery"]?.string.flatMap(Redelivery.init(rawValue:)) ?? .atMostOnce
        } catch {
            throw error.apiError
        }
    }
}
