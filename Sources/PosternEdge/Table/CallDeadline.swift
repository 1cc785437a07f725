import FoundationEssentials
import NIOCore
import Synchronization

/// When a call ends by itself: with the certificate that opened it, or with a newer one of the very same identity that opened another call since.
final class CallDeadline: Sendable {
    private struct State {
        var until: Date
        var isOver = false
        var timer: Scheduled<Void>?
    }
    private let state: Mutex<State>
    private let loop: any EventLoop
    private let cut: @Sendable () -> Void

    init(until: Date, loop: any EventLoop, cut: @escaping @Sendable () -> Void) {
        state = Mutex(State(until: until))
        self.loop = loop
        self.cut = cut
        schedule(until)
    }

    /// The call goes on until then; an earlier time changes nothing.
    func prolong(until: Date) {
        let isLater = state.withLock { state in
            guard !state.isOver, until > state.until else { return false }
            state.until = until
            return true
        }
        if isLater { schedule(until) }
    }

    private func schedule(_ until: Date) {
        let time = TimeAmount.nanoseconds(Int64(max(0, until.timeIntervalSinceNow) * 1e9))
        let timer = loop.scheduleTask(in: time) { [weak self] in
            guard let self, state.withLock({ !$0.isOver && $0.until == until }) else { return }
            cut()
        }
        let old = state.withLock { state -> Scheduled<Void>? in
            guard !state.isOver else { return timer }
            defer { state.timer = timer }
            return state.timer
        }
        old?.cancel()
    }

    /// The call is over.
    func stop() {
        state.withLock { state in
            state.isOver = true
            return state.timer
        }?.cancel()
    }
}
