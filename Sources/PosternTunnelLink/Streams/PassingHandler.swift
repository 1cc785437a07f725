import NIOCore
import Synchronization

/// One direction of a relayed call: what comes from one channel is written to another at once, without a task in between, and no more is read
/// while the other side has not taken what it was given. Stands at the end of the first channel's pipeline, and is used on its event loop only.
final class PassingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let sink: any Channel
    private let progress: PassingProgress
    private let done: EventLoopPromise<Void>
    private var context: ChannelHandlerContext?
    /// Read since the other side was last given something.
    private var batch: [ByteBuffer] = []
    /// Bytes that the other side was given and has not taken.
    private var outstanding = 0
    private var isPaused = false
    private var hasEnded = false
    private var isDone = false

    /// Bytes that the other side may owe before reading stops. Each direction of a call holds this and one read more at most.
    static let most = 256 << 10

    /// `done`, of the channel's own event loop, hears that the peer has sent all and the other side has taken it, or what broke.
    init(to sink: any Channel, _ progress: PassingProgress, done: EventLoopPromise<Void>) {
        self.sink = sink
        self.progress = progress
        self.done = done
    }

    /// Begins with what was read before.
    func begin(_ before: StreamHandler.Unread) {
        if let bytes = before.bytes, bytes.readableBytes > 0 { batch.append(bytes) }
        give()
        if let failure = before.failure { fail(failure) } else if before.hasEnded { end() } else { context?.read() }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if !hasEnded { fail(ChannelError.ioOnClosedChannel) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if bytes.readableBytes > 0 { batch.append(bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        give()
        if outstanding < Self.most { context.read() } else { isPaused = true }
    }

    /// Writes what was read to the other side, all of it with one flush.
    private func give() {
        guard !batch.isEmpty, !isDone, let context else { return }
        let given = batch
        batch = []
        let count = given.reduce(0) { $0 + $1.readableBytes }
        outstanding += count
        progress.moved(count)
        let (sink, here) = (sink, context.eventLoop)
        let bound = NIOLoopBound(self, eventLoop: here)
        let write = { @Sendable in
            for bytes in given.dropLast() { sink.write(bytes, promise: nil) }
            // The last one is taken after all before it.
            sink.writeAndFlush(given[given.count - 1]).whenComplete { result in
                if here.inEventLoop { bound.value.taken(count, result) } else { here.execute { bound.value.taken(count, result) } }
            }
        }
        if sink.eventLoop === here { write() } else { sink.eventLoop.execute(write) }
    }

    private func taken(_ count: Int, _ result: Result<Void, any Error>) {
        outstanding -= count
        if case .failure(let error) = result { return fail(error) }
        if hasEnded { return end() }
        if isPaused, outstanding < Self.most {
            isPaused = false
            context?.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { end() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What breaks after the peer has ended concerns what is sent to it only.
        if !hasEnded { fail(error) }
    }

    /// The peer has sent all: the other side is told when it has taken it.
    private func end() {
        give()
        hasEnded = true
        guard outstanding == 0, !isDone else { return }
        isDone = true
        let done = done
        sink.close(mode: .output).whenComplete { _ in done.succeed() }
    }

    private func fail(_ error: any Error) {
        guard !isDone else { return }
        isDone = true
        done.fail(error)
    }
}

/// What one direction of a relayed call has passed on. Read while it goes on.
package final class PassingProgress: Sendable {
    private let count = Atomic(0)
    private let last = Atomic(NIODeadline.now().uptimeNanoseconds)

    package init() {}

    /// Bytes.
    package var bytes: Int { count.load(ordering: .relaxed) }

    /// When something last moved.
    package var moved: NIODeadline { .uptimeNanoseconds(last.load(ordering: .relaxed)) }

    func moved(_ bytes: Int) {
        count.add(bytes, ordering: .relaxed)
        last.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
    }
}
