import NIOCore
import PosternTunnelLink

/// Passes bytes both ways until both sides have ended or one breaks. It runs in the event loops of the two ends; each side waits for the other,
/// so a call holds a bounded number of bytes of each direction in memory.
final class Relay: Sendable {
    let client: ByteStream
    let leg: ByteStream
    /// A call on which nothing moves for so long is ended. Servers that stream send something every few seconds.
    let idle: TimeAmount
    private let sent = PassingProgress()
    private let received = PassingProgress()

    struct Ended: Sendable {
        /// From the client to the leg, and back.
        var sent = 0
        var received = 0
        /// Why it broke; `nil` where both sides ended it.
        var failure: String?
    }

    init(client: ByteStream, leg: ByteStream, idle: TimeAmount) {
        self.client = client
        self.leg = leg
        self.idle = idle
    }

    func run() async -> Ended {
        let ended = client.channel.eventLoop.makePromise(of: Void.self)
        let silence = watch(ended)
        let (up, down) = (client.pass(to: leg, sent), leg.pass(to: client, received))
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
        silence.cancel()
        if failure != nil { leg.abort() }
        client.close()
        leg.close()
        return Ended(sent: sent.bytes, received: received.bytes, failure: failure)
    }

    /// Ends a call on which nothing moves either way. One direction may be silent for as long as the other one is not.
    private func watch(_ ended: EventLoopPromise<Void>) -> RepeatedTask {
        let (sent, received, idle) = (sent, received, idle)
        let pause = TimeAmount.nanoseconds(max(1_000_000, idle.nanoseconds / 4))
        return client.channel.eventLoop.scheduleRepeatedTask(initialDelay: idle, delay: pause) { task in
            guard max(sent.moved, received.moved) + idle <= .now() else { return }
            task.cancel()
            ended.fail(TimedOut())
        }
    }
}
