/// Time and chance as parameters: production takes `.live`, tests drive both by hand.
package struct Pacing: Sendable {
    /// Monotonic time since an origin of its own.
    package var now: @Sendable () -> Duration
    /// Returns after the duration; throws `CancellationError` when the task is cancelled.
    package var sleep: @Sendable (Duration) async throws -> Void
    /// Uniform in 0..<1.
    package var random: @Sendable () -> Double

    package init(
        now: @escaping @Sendable () -> Duration, sleep: @escaping @Sendable (Duration) async throws -> Void,
        random: @escaping @Sendable () -> Double
    ) {
        self.now = now
        self.sleep = sleep
        self.random = random
    }

    package static let live: Pacing = {
        let origin = ContinuousClock.now
        return Pacing(
            now: { ContinuousClock.now - origin },
            sleep: { try await ContinuousClock().sleep(for: $0) },
            random: { Double.random(in: 0..<1) })
    }()
}
