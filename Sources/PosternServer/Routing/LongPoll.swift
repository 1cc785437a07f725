import HTTPTypes
import HummingbirdCore
import ManagedAgentsAPI
import PosternCore
import Synchronization

// Requests that wait on purpose.
extension Call {
    /// How long the caller wants to wait at most, from a header of our own; `nil` for not at all.
    /// - Parameter least: In seconds.
    func pollWait(least: Int = 1) throws(APIError) -> Duration? {
        guard let text = request.headers[.posternPollSeconds] else { return nil }
        guard let seconds = Int(text), (least...60).contains(seconds) else {
            throw .invalid("Postern-Poll-Seconds: must be from \(least) to 60")
        }
        return .seconds(seconds)
    }

    /// Runs a long wait that ends early when the key is revoked, the peer goes or the server closes down.
    func whileConnected<Value: Sendable>(
        _ key: KeyRecord, _ revocations: Revocations, _ operation: @escaping @Sendable () async throws(APIError) -> Value
    ) async throws(APIError) -> Value {
        let task = Task { () async -> Result<Value, APIError> in
            do throws(APIError) { return .success(try await operation()) } catch { return .failure(error) }
        }
        let isRevoked = Atomic(false)
        let watch = revocations.watch(key.id) {
            isRevoked.store(true, ordering: .relaxed)
            task.cancel()
        }
        ConnectionGuard.whenEnding(channel) { task.cancel() }
        defer {
            watch.cancel()
            ConnectionGuard.forget(channel)
        }
        let result = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        // Whatever was found in the last moment is not for this key any more.
        if isRevoked.load(ordering: .relaxed) {
            throw key.kind == .api ? APIError.unauthenticated("API key has been revoked.") : Authenticator.revoked
        }
        return try result.get()
    }
}
