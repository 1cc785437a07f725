/// One value that one task gives and another waits for. Only one task may wait.
final class Handoff<Value: Sendable>: Sendable {
    private let stream: AsyncStream<Value>
    private let continuation: AsyncStream<Value>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func give(_ value: Value) {
        continuation.yield(value)
        continuation.finish()
    }

    /// No value will come. Of no effect after `give`.
    func fail() { continuation.finish() }

    /// The value, `nil` when none will come or the waiting task is cancelled.
    func value() async -> Value? {
        for await value in stream { return value }
        return nil
    }
}
