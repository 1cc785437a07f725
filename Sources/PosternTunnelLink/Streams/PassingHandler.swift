import NIOCore
import Synchronization

/// One direction of a relayed call: what comes from one channel is written to another at once, without a task in between, and no more is read
/// while the other side owes more than it may. Stands at the end of the first channel's pipeline, and is used on its event loop only.
final class PassingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let sink: any Channel
    private let progress: PassingProgress
    /// Bytes that the other side may have been given and not taken while more is read.
    private let owing: Int
    /// Sees what passes, and says how long to wait before more is read.
    private let look: (@Sendable (ByteBuffer) -> Duration?)?
    private let done: EventLoopPromise<Void>
    private var context: ChannelHandlerContext?
    /// Read since the other side was last given something.
    private var batch: [ByteBuffer] = []
    /// Bytes that the other side was given and has not taken.
    private var outstanding = 0
    /// Nothing is read at present, because the other side owes too much.
    private var isPaused = false
    /// Nothing is read at present, because whoever looks said so.
    private var isWaiting = false
    private var hasEnded = false
    private var isDone = false

    /// `done`, of the channel's own event loop, hears that the peer has sent all and the other side has taken it, or what broke.
    init(
        to sink: any Channel, _ progress: PassingProgress, owing: Int, look: (@Sendable (ByteBuffer) -> Duration?)? = nil,
        done: EventLoopPromise<Void>
    ) {
        self.sink = sink
        self.owing = owing
        self.progress = progress
        self.look = look
        self.done = done
    }

    /// Begins with what was read before.
    func begin(_ before: StreamHandler.Unread) {
        if let bytes = before.bytes, bytes.readableBytes > 0 { batch.append(bytes) }
        give()
        if let failure = before.failure { fail(failure) } else if before.hasEnded { end() } else { readOnIfTaken() }
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
        readOnIfTaken()
    }

    private func readOnIfTaken() {
        isPaused = outstanding > owing
        if !isPaused { readOn() }
    }

    private func readOn() {
        if !isWaiting { context?.read() }
    }

    private func wait(_ time: Duration, _ context: ChannelHandlerContext) {
        isWaiting = true
        context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) {
            self.isWaiting = false
            if !self.isPaused { self.readOn() }
        }
    }

    /// Writes what was read to the other side, all of it with one flush.
    private func give() {
        guard !batch.isEmpty, !isDone, let context else { return }
        let given = batch
        batch = []
        let count = given.reduce(0) { $0 + $1.readableBytes }
        if outstanding == 0 { progress.owes(true) }
        outstanding += count
        progress.moved(count)
        if let look {
            // Each says how long to wait from now on, for itself and all before it.
            if let pause = given.compactMap(look).max() { wait(pause, context) }
        }
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
        progress.owes(outstanding > 0)
        if case .failure(let error) = result { return fail(error) }
        if hasEnded { return end() }
        if isPaused { readOnIfTaken() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { end() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What breaks after the peer has ended concerns what is sent to it only.
        guard !hasEnded else { return }
        // What came before is given out first.
        give()
        fail(error)
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
    /// 0 for never.
    private let owed = Atomic<UInt64>(0)

    package init() {}

    /// Bytes.
    package var bytes: Int { count.load(ordering: .relaxed) }

    /// When something last moved.
    package var moved: NIODeadline { .uptimeNanoseconds(last.load(ordering: .relaxed)) }

    /// Since when the other side has taken nothing of what waits for it; `nil` where nothing waits.
    package var owedSince: NIODeadline? {
        let time = owed.load(ordering: .relaxed)
        return time == 0 ? nil : .uptimeNanoseconds(time)
    }

    func owes(_ something: Bool) { owed.store(something ? NIODeadline.now().uptimeNanoseconds : 0, ordering: .relaxed) }

    func moved(_ bytes: Int) {
        count.add(bytes, ordering: .relaxed)
        last.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
    }
}
