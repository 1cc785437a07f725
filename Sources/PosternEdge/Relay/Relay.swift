import NIOCore
import PosternHTTP
import PosternTunnelLink
import Synchronization

/// Passes bytes both ways until both sides have ended or one breaks. It runs in the event loops of the two ends; each side waits for the other,
/// so a call holds a bounded number of bytes of each direction in memory.
final class Relay: Sendable {
    let client: ByteStream
    let leg: ByteStream
    let times: Times
    /// Called once, when the client has believed who answers. `nil` where nobody asks.
    let onProof: (@Sendable () -> Void)?
    /// For how long to wait after so many bytes, where the tunnel has a bound on them.
    let pace: (@Sendable (Int) -> Duration?)?

    /// Bytes that a leg may owe while more is read from the client: who sends little need not wait until the leg was flushed. The other way there is
    /// no such room: what a stream's reader was given counts in the leg's one budget of windows until it asks for more, so it asks when the client has
    /// taken all of it.
    private static let upload = 64 << 10

    struct Times: Sendable {
        /// A call on which nothing moves for so long is ended. Servers that stream send something every few seconds.
        var idle: TimeAmount
        /// A call one of whose sides takes nothing of what waits for it for so long is ended: it holds memory that others need.
        var stall: TimeAmount
    }

    struct Ended: Sendable {
        /// From the client to the leg, and back.
        var sent = 0
        var received = 0
        /// Why it broke; `nil` where both sides ended it.
        var failure: String?
        /// Whether the client has gone on after the server's part of inner TLS; only known where somebody asks.
        var isProved = false
        /// It was ended because a side took nothing for too long.
        var isStalled = false
    }

    private struct State {
        var proof: ClientProof?
        var isProved = false
        var isStalled = false
    }
    private let state: Mutex<State>
    private let sent = PassingProgress()
    private let received = PassingProgress()

    /// - Parameter first: what the client has sent already, which went with the opening of the stream.
    init(
        client: ByteStream, leg: ByteStream, first: ByteBuffer, times: Times, onProof: (@Sendable () -> Void)? = nil,
        pace: (@Sendable (Int) -> Duration?)? = nil
    ) {
        self.client = client
        self.leg = leg
        self.times = times
        self.onProof = onProof
        self.pace = pace
        var proof = onProof == nil ? nil : ClientProof()
        proof?.feed(first)
        state = Mutex(State(proof: proof))
    }

    func run() async -> Ended {
        let ended = client.channel.eventLoop.makePromise(of: Void.self)
        let timers = [silenceTimer(ended), stallTimer()]
        var looksUp: (@Sendable (ByteBuffer) -> Duration?)?
        var looksDown: (@Sendable (ByteBuffer) -> Duration?)?
        if onProof != nil || pace != nil { looksUp = { [self] bytes in look(at: bytes) } }
        if let pace { looksDown = { bytes in pace(bytes.readableBytes) } }
        let up = client.pass(to: leg, sent, owing: Self.upload, look: looksUp)
        let down = leg.pass(to: client, received, owing: 0, look: looksDown)
        // A promise takes its first answer only: one half that fails ends both.
        up.whenFailure { ended.fail($0) }
        down.whenFailure { ended.fail($0) }
        up.and(down).whenSuccess { _ in ended.succeed() }
        var failure: String?
        do {
            try await withTaskCancellationHandler {
                try await ended.futureResult.get()
            } onCancel: {
                ended.fail(CancellationError())
            }
        } catch {
            failure = "\(error)"
        }
        for timer in timers { timer.cancel() }
        if failure != nil { leg.abort() }
        client.close()
        leg.close()
        let (isProved, isStalled) = state.withLock { ($0.isProved, $0.isStalled) }
        return Ended(sent: sent.bytes, received: received.bytes, failure: failure, isProved: isProved, isStalled: isStalled)
    }

    /// What the client sends on: looks for its proof, and says how long it has to wait before it may send more.
    private func look(at bytes: ByteBuffer) -> Duration? {
        let isProved = state.withLock { state in
            state.proof?.feed(bytes)
            guard state.proof?.isProved == true else { return false }
            state.proof = nil
            state.isProved = true
            return true
        }
        if isProved { onProof?() }
        return pace?(bytes.readableBytes)
    }

    /// Ends a call on which nothing moves either way. One direction may be silent for as long as the other one is not.
    private func silenceTimer(_ ended: EventLoopPromise<Void>) -> RepeatedTask {
        let (sent, received, idle) = (sent, received, times.idle)
        return client.channel.eventLoop.scheduleRepeatedTask(initialDelay: idle, delay: Self.step(idle)) { task in
            guard max(sent.moved, received.moved) + idle <= .now() else { return }
            task.cancel()
            ended.fail(TimedOut())
        }
    }

    /// Looks every now and then whether a side has stalled, and breaks the call then.
    private func stallTimer() -> RepeatedTask {
        let step = Self.step(times.stall)
        return client.channel.eventLoop.scheduleRepeatedTask(initialDelay: step, delay: step) { [self] _ in
            let limit = NIODeadline.now() - times.stall
            guard [sent.owedSince, received.owedSince].contains(where: { $0.map { $0 < limit } == true }) else { return }
            state.withLock { $0.isStalled = true }
            // Both ends at once: what waits is given up, and neither takes it for whole.
            leg.abort()
            client.abort()
        }
    }

    private static func step(_ time: TimeAmount) -> TimeAmount { .nanoseconds(max(time.nanoseconds / 4, 1_000_000)) }
}
