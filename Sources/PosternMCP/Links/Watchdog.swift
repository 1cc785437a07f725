import Synchronization

/// Holds one request to its deadline, which progress moves while it runs.
final class Watchdog: Sendable {
    private let deadline: Mutex<Deadline>
    private let failure = Pending<MCPError?>()
    private let method: String

    init(_ method: String, silence: Duration?, maximum: Duration?) {
        self.method = method
        deadline = Mutex(Deadline(silence: silence, maximum: maximum, start: .now))
    }

    func progressed() { deadline.withLock { $0.progressed(at: .now) } }

    /// The request goes on for as long as it likes from here on.
    func release() {
        deadline.withLock {
            $0.silence = nil
            $0.maximum = nil
        }
    }

    /// The request is of no use any longer: it ends with this.
    func fail(_ error: MCPError) { failure.resolve(error) }

    /// Does the work; when its time is over it is cancelled and waited for, so that the server has been told when this returns.
    func guarding<Value: Sendable>(_ work: @escaping @Sendable () async throws(MCPError) -> Value) async throws(MCPError) -> Value {
        let outcome = await withTaskGroup(of: Result<Value, MCPError>?.self) { group in
            group.addTask {
                do throws(MCPError) { return .success(try await work()) } catch { return .failure(error) }
            }
            group.addTask { await self.expiry().map { .failure($0) } }
            group.addTask { await self.failure.value(onCancel: nil).map { .failure($0) } }
            let first = await group.next() ?? nil
            group.cancelAll()
            var outcome = first
            // The work may have ended while its time was running out: its own answer counts then.
            for await next in group { if case .success? = next { outcome = next } }
            return outcome
        }
        return try (outcome ?? .failure(.cancelled)).get()
    }

    /// Waits until the time is over; nil where it was cancelled before.
    private func expiry() async -> MCPError? {
        while true {
            let (end, error) = deadline.withLock { ($0.end, $0.expired(method, at: .now)) }
            if let error { return error }
            do {
                if let end {
                    try await Task.sleep(until: end, clock: .continuous)
                } else {
                    try await Task.sleep(for: .seconds(3600))
                }
            } catch {
                return nil
            }
        }
    }
}
