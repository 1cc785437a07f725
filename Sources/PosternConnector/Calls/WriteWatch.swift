import NIOCore
import PosternHTTP
import PosternTunnelLink
import Synchronization

/// Breaks off what a connection does not take in time. The writes of a call are noted, and looked at now and then: a timer for each would cost
/// more than most writes do.
final class WriteWatch: Sendable {
    enum Side: Sendable { case caller, upstream }

    private struct Pending: Sendable {
        var end: NIODeadline
        var stream: ByteStream
    }
    private struct State {
        var caller: Pending?
        var upstream: Pending?

        mutating func set(_ side: Side, _ pending: Pending?) {
            switch side {
            case .caller: caller = pending
            case .upstream: upstream = pending
            }
        }
    }
    private let state = Mutex(State())

    /// Returns once the connection has taken the bytes. Where it does not within `time`, it is broken off at the next look, and `TimedOut` is thrown.
    func write(_ bytes: ByteBuffer, to stream: ByteStream, _ side: Side, within time: TimeAmount) async throws {
        let end = NIODeadline.now() + time
        state.withLock { $0.set(side, Pending(end: end, stream: stream)) }
        defer { state.withLock { $0.set(side, nil) } }
        do {
            try await stream.write(bytes)
        } catch {
            throw NIODeadline.now() >= end ? TimedOut() : error
        }
    }

    /// The same for one write outside of a call's exchange, with a timer of its own: `TimedOut` where the connection does not take the bytes in time.
    static func write(_ bytes: ByteBuffer, to stream: ByteStream, within time: TimeAmount) async throws {
        let watch = WriteWatch()
        // Where the looks of a call may lie up to a step behind, this one comes a moment after the end.
        let look = stream.channel.eventLoop.scheduleTask(in: time + .milliseconds(10)) { watch.look() }
        defer { look.cancel() }
        try await watch.write(bytes, to: stream, .caller, within: time)
    }

    /// A look: breaks off what is overdue.
    func look() {
        let overdue = state.withLock { state in [state.caller, state.upstream].compactMap { $0 }.filter { $0.end <= .now() } }
        for write in overdue { write.stream.abort() }
    }
}
