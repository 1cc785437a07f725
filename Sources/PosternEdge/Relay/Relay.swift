import NIOCore
import PosternTunnelLink
import Synchronization

/// Passes bytes both ways until both sides have ended or one breaks. Each side waits for the other, so a call holds one read at a time of
/// each direction in memory.
final class Relay: Sendable {
    let client: ByteStream
    let leg: ByteStream
    /// What the client has sent already, which went with the opening of the stream.
    let first: ByteBuffer
    let times: Times
    /// Called once, when the client has believed who answers. `nil` where nobody asks.
    let onProof: (@Sendable () -> Void)?
    /// For how long to wait after so many bytes, where the tunnel has a bound on them.
    let pace: (@Sendable (Int) -> Duration?)?

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
        var sent = 0
        var received = 0
        var isProved = false
        var isStalled = false
        /// When something last moved.
        var moved = NIODeadline.now()
        /// Since when each side takes nothing of what is written to it; `nil` while nothing waits.
        var toClientSince: NIODeadline?
        var toLegSince: NIODeadline?
    }
    private let state = Mutex(State())

    init(
        client: ByteStream, leg: ByteStream, first: ByteBuffer, times: Times, onProof: (@Sendable () -> Void)? = nil,
        pace: (@Sendable (Int) -> Duration?)? = nil
    ) {
        self.first = first
        self.client = client
        self.leg = leg
        self.times = times
        self.onProof = onProof
        self.pace = pace
    }

    func run() async -> Ended {
        var failure: String?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in try await pass(client, to: leg, \.sent, \.toLegSince) }
                group.addTask { [self] in try await pass(leg, to: client, \.received, \.toClientSince) }
                // Not `waitForAll`, which would go on waiting for one half after the other has failed.
                let stall = stallTimer()
                defer { stall.cancel() }
                while try await group.next() != nil {}
            }
        } catch {
            failure = "\(error)"
        }
        if failure != nil { leg.abort() }
        client.close()
        leg.close()
        let now = state.withLock { $0 }
        return Ended(sent: now.sent, received: now.received, failure: failure, isProved: now.isProved, isStalled: now.isStalled)
    }

    private func pass(
        _ from: ByteStream, to: ByteStream, _ count: any WritableKeyPath<State, Int> & Sendable,
        _ since: any WritableKeyPath<State, NIODeadline?> & Sendable
    ) async throws {
        var proof = from.channel === client.channel && onProof != nil ? ClientProof() : nil
        proof?.feed(first)
        while let bytes = try await next(from) {
            if proof != nil {
                proof?.feed(bytes)
                if proof?.isProved == true {
                    proof = nil
                    state.withLock { $0.isProved = true }
                    onProof?()
                }
            }
            state.withLock { $0[keyPath: since] = .now() }
            try await to.write(bytes)
            state.withLock { state in
                state[keyPath: count] += bytes.readableBytes
                state[keyPath: since] = nil
                state.moved = .now()
            }
            if let wait = pace?(bytes.readableBytes) { try await Task.sleep(for: wait) }
        }
        await to.closeOutput()
    }

    /// Looks every now and then whether a side has stalled, and breaks the call then.
    private func stallTimer() -> RepeatedTask {
        let step = TimeAmount.nanoseconds(max(times.stall.nanoseconds / 4, 1_000_000))
        return client.channel.eventLoop.scheduleRepeatedTask(initialDelay: step, delay: step) { [self] _ in
            let limit = NIODeadline.now() - times.stall
            let isStalled = state.withLock { state in
                state.isStalled = [state.toClientSince, state.toLegSince].contains { $0.map { $0 < limit } == true }
                return state.isStalled
            }
            guard isStalled else { return }
            // Both ends at once: what waits is given up, and neither takes it for whole.
            leg.abort()
            client.abort()
        }
    }

    /// A direction may be silent for as long as the other one is not.
    private func next(_ from: ByteStream) async throws -> ByteBuffer? {
        while true {
            do {
                return try await from.read(within: times.idle)
            } catch let error as TimedOut {
                guard state.withLock({ $0.moved + times.idle > .now() }) else { throw error }
            }
        }
    }
}
