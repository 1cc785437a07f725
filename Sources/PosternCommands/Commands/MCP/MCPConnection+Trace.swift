import PosternMCP
import Synchronization

extension MCPConnection {
    /// What was measured while the connection was used.
    final class Trace: Sendable {
        let start = ContinuousClock.now
        private let state = Mutex(State())

        private struct State {
            var steps: [MCPClient.Step] = []
            var connected: ContinuousClock.Instant?
            /// The first step that connecting was a part of.
            var first: Int?
            /// Of parts whose step is not over yet.
            var parts = Duration.zero
        }

        /// The first connection stands: name, TCP and TLS are done.
        func connected() { state.withLock { $0.connected = $0.connected ?? .now } }
        func add(_ step: MCPClient.Step) {
            state.withLock { state in
                var step = step
                step.duration = max(.zero, step.duration - state.parts)
                state.parts = .zero
                state.first = state.first ?? state.steps.count
                state.steps.append(step)
            }
        }
        /// What is done within the step that is added next, and is no time of that one's: a token is got.
        func add(part: MCPClient.Step) {
            state.withLock {
                $0.steps.append(part)
                $0.parts += part.duration
            }
        }

        /// The steps in their order; connecting is taken out of the first one that it was a part of.
        var steps: [MCPClient.Step] {
            let state = state.withLock { $0 }
            guard let connected = state.connected else { return state.steps }
            let duration = connected - start
            var rest = state.steps
            if let first = state.first { rest[first].duration = max(.zero, rest[first].duration - duration) }
            return [MCPClient.Step(name: "connect", duration: duration, error: nil)] + rest
        }
    }
}
