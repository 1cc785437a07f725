import Synchronization

/// The calls of one route that run, in all and of each caller. Outlives changes of the document.
final class RouteSlots: Sendable {
    private struct State {
        var all = 0
        var callers: [CallerSubject: Int] = [:]
    }
    private let state = Mutex(State())

    /// Takes a place; what is taken is to be given back.
    func enter(_ caller: CallerSubject, _ limits: RouteLimits) throws(CallError) {
        let refusal = state.withLock { state -> CallError? in
            guard state.callers[caller, default: 0] < limits.concurrencyPerCaller else { return .callerBusy(limits.concurrencyPerCaller) }
            guard state.all < limits.concurrency else { return .routeBusy(limits.concurrency) }
            state.all += 1
            state.callers[caller, default: 0] += 1
            return nil
        }
        if let refusal { throw refusal }
    }

    func leave(_ caller: CallerSubject) {
        state.withLock { state in
            state.all -= 1
            if let count = state.callers[caller] { state.callers[caller] = count > 1 ? count - 1 : nil }
        }
    }
}
