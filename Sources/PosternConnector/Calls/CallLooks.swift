import NIOCore
import Synchronization

/// Looks now and then at the call that runs on a connection: whether it takes longer than it may, or what it writes is not taken. One timer serves all
/// calls of the connection, as making one and taking it back costs more than most of what a small call does.
final class CallLooks: Sendable {
    private struct State {
        var call: Call?
        var timer: RepeatedTask?
        /// Of the timer.
        var step = TimeAmount.zero
    }
    private struct Call: Sendable {
        var watch: WriteWatch
        var over: NIODeadline
        /// Called at the looks after `over`.
        var tooLong: @Sendable () -> Void
    }
    private let loop: any EventLoop
    private let state = Mutex(State())

    init(_ loop: any EventLoop) { self.loop = loop }

    /// Looks at a call until `end`: what is overdue is found within a quarter of the shortest of its times after it.
    func begin(_ watch: WriteWatch, _ limits: RouteLimits, tooLong: @escaping @Sendable () -> Void) {
        let step = TimeAmount.nanoseconds(max(min(limits.take, limits.idle, limits.call).nanoseconds / 4, 10_000_000))
        state.withLock { state in
            state.call = Call(watch: watch, over: .now() + limits.call, tooLong: tooLong)
            if state.timer != nil, state.step <= step { return }
            state.timer?.cancel()
            state.step = step
            state.timer = loop.scheduleRepeatedTask(initialDelay: step, delay: step) { [weak self] timer in
                guard let self else { return timer.cancel() }
                look(timer)
            }
        }
    }

    /// The call has ended. The timer goes on to the next look, which another call may have by then.
    func end() { state.withLock { $0.call = nil } }

    /// The connection has ended.
    func stop() {
        state.withLock { state in
            state.call = nil
            state.timer?.cancel()
            state.timer = nil
        }
    }

    private func look(_ timer: RepeatedTask) {
        let call = state.withLock { state in
            if state.call == nil, state.timer === timer {
                state.timer = nil
                timer.cancel()
            }
            return state.call
        }
        guard let call else { return }
        if call.over <= .now() { call.tooLong() } else { call.watch.look() }
    }
}
