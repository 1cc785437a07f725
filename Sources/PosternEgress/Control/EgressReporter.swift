import Synchronization

/// The proxy's end of the conversation about calls: what is reported, and what waits for the worker's answer.
final class EgressReporter: Sendable {
    /// The worker is gone or has not recorded: nothing may go out.
    struct NotRecorded: Error, CustomStringConvertible {
        var description: String { "the audit does not take records, so nothing may leave" }
    }

    private struct State {
        var next = 1
        var waiting: [Int: CheckedContinuation<Int?, any Error>] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())
    private let send: @Sendable (EgressReport) -> Void

    init(send: @escaping @Sendable (EgressReport) -> Void) {
        self.send = send
    }

    /// Reports what needs no answer.
    func post(_ report: EgressReport) { send(report) }

    /// Reports under a new id, which is returned once the worker has the report on its disk.
    @discardableResult
    func record(_ report: @Sendable (Int) -> EgressReport) async throws -> Int {
        let id = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        _ = try await answer(to: id, report(id))
        return id
    }

    /// Asks; the bytes that are granted, `nil` when it is refused.
    func ask(_ report: @Sendable (Int) -> EgressReport) async throws -> Int? {
        let id = state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
        return try await answer(to: id, report(id))
    }

    private func answer(to id: Int, _ report: EgressReport) async throws -> Int? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int?, any Error>) in
                let isOpen = state.withLock { state in
                    // Cancelled before it was registered: the handler below has found nothing to resume.
                    guard !state.isClosed, !Task.isCancelled else { return false }
                    state.waiting[id] = continuation
                    return true
                }
                if isOpen { send(report) } else { continuation.resume(throwing: NotRecorded()) }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    /// The worker has answered. An id that nobody waits for is ignored: its call is gone.
    func resolve(id: Int, _ value: Int?) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: value)
    }

    /// The worker is gone: whatever waits fails, now and later.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in waiting.values { continuation.resume(throwing: NotRecorded()) }
    }
}
