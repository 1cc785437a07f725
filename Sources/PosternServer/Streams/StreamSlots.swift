import ManagedAgentsAPI
import PosternTelemetry
import Synchronization

/// Counts open streams, in all and for each credential, and refuses one too many.
final class StreamSlots: Sendable {
    private struct State {
        var total = 0
        var byHolder: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let maximum: Int
    private let maximumPerHolder: Int
    private let gauge: Gauge

    init(maximum: Int, maximumPerHolder: Int, gauge: Gauge) {
        self.maximum = maximum
        self.maximumPerHolder = maximumPerHolder
        self.gauge = gauge
    }

    /// - Throws: 429.
    func take(_ holder: String) throws(APIError) {
        let refusal = state.withLock { state -> String? in
            if state.total >= maximum { return "This server has \(maximum) streams open, which is its limit." }
            if state.byHolder[holder, default: 0] >= maximumPerHolder {
                return "This credential has \(maximumPerHolder) streams open, which is the limit for one."
            }
            state.total += 1
            state.byHolder[holder, default: 0] += 1
            return nil
        }
        if let refusal { throw APIError(429, .rateLimit, refusal, shouldRetry: true, retryAfter: 5) }
        gauge.increment()
    }

    func give(_ holder: String) {
        state.withLock { state in
            state.total -= 1
            state.byHolder[holder, default: 1] -= 1
            if state.byHolder[holder] == 0 { state.byHolder.removeValue(forKey: holder) }
        }
        gauge.decrement()
    }
}
