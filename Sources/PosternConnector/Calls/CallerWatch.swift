import NIOCore
import PosternTunnelLink
import Synchronization

/// Whether the caller of a call is still there, from when its request is whole. Where it is not, and the call does not go on without it, the connection
/// to the upstream is closed, which ends the call. Callbacks of the event loop, no task: every call has such a watch, and hardly any sees something.
final class CallerWatch: Sendable {
    private let caller: ByteStream
    private let upstream: ByteStream
    /// For a call that goes on without its caller; `nil` where that ends with it.
    private let linger: TimeAmount?
    private let progress: CallProgress
    private let outlived: @Sendable () -> Void
    private let state = Mutex(State())

    private struct State {
        var isOver = false
        var watch: ByteStream.EndWatch?
        var end: Scheduled<Void>?
    }

    /// - Parameter outlived: hears that the caller went away and the call goes on.
    init(
        _ caller: ByteStream, of upstream: ByteStream, linger: TimeAmount?, progress: CallProgress, outlived: @escaping @Sendable () -> Void
    ) {
        self.caller = caller
        self.upstream = upstream
        self.linger = linger
        self.progress = progress
        self.outlived = outlived
    }

    /// To be called once; nothing may read from the caller until `stop`.
    func begin() {
        let watch = caller.watchEnd { self.callerEnded() }
        let isOver = state.withLock { state in
            state.watch = watch
            return state.isOver
        }
        if isOver { watch.stop() }
    }

    func stop() {
        let (watch, end) = state.withLock { state in
            state.isOver = true
            defer { (state.watch, state.end) = (nil, nil) }
            return (state.watch, state.end)
        }
        watch?.stop()
        end?.cancel()
    }

    private func callerEnded() {
        // Revisions of MCP up to 2025-11-25: a disconnect is no cancelling, and the answer may be asked for again.
        guard let linger else { return end(.callerGone("it closed its side while the call ran")) }
        guard state.withLock({ !$0.isOver }) else { return }
        progress.leaveAlone()
        outlived()
        let end = caller.channel.eventLoop.scheduleTask(in: linger) {
            self.end(.callerGone("it closed its side, and the call had not ended after the time that is left to it (limits.linger)"))
        }
        let isOver = state.withLock { state in
            if !state.isOver { state.end = end }
            return state.isOver
        }
        if isOver { end.cancel() }
    }

    private func end(_ cause: CallError) {
        guard state.withLock({ !$0.isOver }) else { return }
        // Before the close: whoever sees that sees why.
        progress.cuts(cause)
        upstream.close()
        // Who has ended its side and does not take its answer either is not waited for.
        if progress.now.status != nil { caller.abort() }
    }
}
