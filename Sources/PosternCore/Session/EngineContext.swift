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
