import NIOCore
import PosternHTTP

/// The end of a connection's pipeline: takes bytes only when somebody asks for them, so that nothing is read that nobody has room for.
/// Used on its event loop only.
final class StreamHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var context: ChannelHandlerContext?
    private var buffer: ByteBuffer?
    private var waiting: EventLoopPromise<ByteBuffer?>?
    private var deadline: Scheduled<Void>?
    private var hasEnded = false
    private var failure: (any Error)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        finish(ChannelError.ioOnClosedChannel)
    }

    /// Gives the next bytes to `promise`, `nil` at the end. One at a time.
    /// - Parameter endsInTime: the stream has failed when nothing comes within `time`; else the promise gets no bytes then.
    func read(_ promise: EventLoopPromise<ByteBuffer?>, within time: TimeAmount?, endsInTime: Bool = true) {
        guard waiting == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
        if let ready = buffer {
            buffer = nil
            return promise.succeed(ready)
        }
        if let failure { return promise.fail(failure) }
        guard !hasEnded, let context else { return promise.succeed(nil) }
        waiting = promise
        if let time { arm(time, context, endsInTime) }
        context.read()
    }

    /// Time does not run out while the session is paused.
    private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext, _ endsInTime: Bool) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) {
            guard let context = self.context else { return }
            let valve = try? context.pipeline.syncOperations.handler(type: PauseValve.self)
            if valve?.isPaused == true {
                self.arm(time, context, endsInTime)
            } else if endsInTime {
                self.fail(TimedOut())
            } else {
                self.takeWaiting()?.succeed(ByteBuffer())
            }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard bytes.readableBytes > 0 else { return }
        if let promise = takeWaiting() {
            promise.succeed(bytes)
        } else if buffer == nil {
            buffer = bytes
        } else {
            buffer?.writeImmutableBuffer(bytes)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // A read that brought no bytes (TLS records of the handshake) is repeated.
        if waiting != nil { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { finish(nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) { finish(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(error) }

    private func finish(_ error: (any Error)?) {
        hasEnded = true
        guard let promise = takeWaiting() else { return }
        if let error = failure ?? error { promise.fail(error) } else { promise.succeed(nil) }
    }

    private func fail(_ error: any Error) {
        failure = failure ?? error
        takeWaiting()?.fail(error)
    }

    private func takeWaiting() -> EventLoopPromise<ByteBuffer?>? {
        deadline?.cancel()
        deadline = nil
        defer { waiting = nil }
        return waiting
    }
}
