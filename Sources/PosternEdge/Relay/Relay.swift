import NIOCore
import PosternTunnelLink
import Synchronization

/// Passes bytes both ways until both sides have ended or one breaks. Each side waits for the other, so a call holds one read at a time of
/// each direction in memory.
final class Relay: Sendable {
    let client: ByteStream
    let leg: ByteStream
    /// A call on which nothing moves for so long is ended. Servers that stream send something every few seconds.
    let idle: TimeAmount

    struct Ended: Sendable {
        /// From the client to the leg, and back.
        var sent = 0
        var received = 0
        /// Why it broke; `nil` where both sides ended it.
        var failure: String?
    }

    private struct State {
        var sent = 0
        var received = 0
        /// When something last moved.
        var moved = NIODeadline.now()
    }
    private let state = Mutex(State())

    init(client: ByteStream, leg: ByteStream, idle: TimeAmount) {
        self.client = client
        self.leg = leg
        self.idle = idle
    }

    func run() async -> Ended {
        var failure: String?
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in try await pass(client, to: leg, \.sent) }
                group.addTask { [self] in try await pass(leg, to: client, \.received) }
                // Not `waitForAll`, which would go on waiting for one half after the other has failed.
                while try await group.next() != nil {}
            }
        } catch {
            failure = "\(error)"
        }
        if failure != nil { leg.abort() }
        client.close()
        leg.close()
        let (sent, received) = state.withLock { ($0.sent, $0.received) }
        return Ended(sent: sent, received: received, failure: failure)
    }

    private func pass(_ from: ByteStream, to: ByteStream, _ count: any WritableKeyPath<State, Int> & Sendable) async throws {
        while let bytes = try await next(from) {
            try await to.write(bytes)
            state.withLock { state in
                state[keyPath: count] += bytes.readableBytes
                state.moved = .now()
            }
        }
        await to.closeOutput()
    }

    /// A direction may be silent for as long as the other one is not.
    private func next(_ from: ByteStream) async throws -> ByteBuffer? {
        while true {
            do {
                return try await from.read(within: idle)
            } catch let error as TimedOut {
                guard state.withLock({ $0.moved + idle > .now() }) else { throw error }
            }
        }
    }
}
