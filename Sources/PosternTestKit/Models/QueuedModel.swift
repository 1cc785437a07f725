import PosternCore
import PosternJSON
import Synchronization

/// A model that gives the answers it was told to give, in order, and waits where there is none yet.
package final class QueuedModel: ModelProvider {
    package typealias Answer = Result<ModelResponse, ModelError>

    private struct State {
        var answers: [Answer] = []
        var waiters: [Int: CheckedContinuation<Answer, Never>] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
        var requests: [ModelRequest] = []
    }
    private let state = Mutex(State())

    package init() {}

    /// Every request so far.
    package var requests: [ModelRequest] { state.withLock { $0.requests } }

    /// Gives the oldest waiting request its answer, or the next one to come.
    package func answer(_ content: [JSON], stop: String = "end_turn") {
        answer(.success(ModelResponse(content: content, stopReason: stop, usage: ModelUsage(input: 7, output: 3))))
    }

    package func answer(_ answer: Answer) {
        let waiter = state.withLock { state -> CheckedContinuation<Answer, Never>? in
            guard let first = state.waiters.keys.min() else {
                state.answers.append(answer)
                return nil
            }
            return state.waiters.removeValue(forKey: first)
        }
        waiter?.resume(returning: answer)
    }

    package func respond(to request: ModelRequest, preview: @Sendable (ModelPreview) async -> Void) async throws(ModelError) -> ModelResponse {
        let id = state.withLock { state in
            state.nextID += 1
            state.requests.append(request)
            return state.nextID
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Answer? in
                    if state.cancelled.contains(id) { return .failure(ModelError(.cancelled, "cancelled")) }
                    if !state.answers.isEmpty { return state.answers.removeFirst() }
                    state.waiters[id] = continuation
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.cancelled.insert(id)
                return state.waiters.removeValue(forKey: id)
            }
            waiter?.resume(returning: .failure(ModelError(.cancelled, "cancelled")))
        }
        for (index, block) in ((try? answer.get().content) ?? []).enumerated() {
            await preview(.blockStarted(index: index, type: block["type"]?.string ?? ""))
            if let text = block["text"]?.string { await preview(.text(index: index, text)) }
        }
        return try answer.get()
    }

    package func models() async throws(ModelError) -> [JSONObject] { [] }
}
