import NIOCore
import NIOTLS
import PosternHTTP

/// The end of a connection's pipeline: takes bytes only when somebody asks for them, so that nothing is read that nobody has room for.
/// Used on its event loop only.
final class StreamHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var context: ChannelHandlerContext?
    private var buffer: ByteBuffer?
    private var waiting: EventLoopPromise<ByteBuffer?>?
    private var handshake: EventLoopPromise<String?>?
    private var ending: EventLoopPromise<Void>?
    private var disturbed: (() -> Void)?
    /// When who waits gives up; `nil` for never.
    private var due: NIODeadline?
    /// Looks whether that time has come. A read that ends in time leaves it, as nearly all do: taking a timer out of the loop's queue takes the longer, the
    /// more there are. The next read goes on with it.
    private var alarm: (at: NIODeadline, timer: Scheduled<Void>)?
    private var hasEnded = false
    private var failure: (any Error)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        finish(ChannelError.ioOnClosedChannel)
        clearAlarm()
    }

    /// Gives the next bytes to `promise`, `nil` at the end. One at a time. After `TimedOut` it may be asked again.
    func read(_ promise: EventLoopPromise<ByteBuffer?>, within time: TimeAmount?) {
        guard waiting == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
        if let ready = buffer {
            buffer = nil
            return promise.succeed(ready)
        }
        if let failure { return promise.fail(failure) }
        guard !hasEnded, let context else { return promise.succeed(nil) }
        waiting = promise
        due = time.map { .now() + $0 }
        setAlarm()
        context.read()
    }

    private func setAlarm() {
        guard let due, let context else { return }
        if let alarm {
            guard due < alarm.at else { return }
            alarm.timer.cancel()
        }
        alarm = (due, context.eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in self?.look() })
    }

    private func look() {
        alarm = nil
        guard waiting != nil, let due else { return }
        if due <= .now() { takeWaiting()?.fail(TimedOut()) } else { setAlarm() }
    }

    private func clearAlarm() {
        alarm?.timer.cancel()
        alarm = nil
    }

    /// Tells `promise` of the end of a TLS handshake: the protocol that ALPN chose, or why it failed.
    func watchHandshake(_ promise: EventLoopPromise<String?>) {
        if let failure { return promise.fail(failure) }
        guard !hasEnded else { return promise.fail(ChannelError.eof) }
        handshake = promise
    }

    /// Tells `promise` when the peer has ended, or the connection is broken. What comes meanwhile is kept, one read of it at most.
    func watchEnd(_ promise: EventLoopPromise<Void>) {
        if hasEnded || failure != nil { return promise.succeed() }
        ending?.fail(CancellationError())
        ending = promise
        if buffer == nil { context?.read() }
    }

    /// Another one that is watched for by now stays.
    func stopWatchingEnd(_ promise: EventLoopPromise<Void>) {
        guard let watched = ending, watched.futureResult === promise.futureResult else { return }
        ending = nil
        watched.fail(CancellationError())
    }

    /// Calls `told` once, as soon as bytes come, the peer ends or the connection breaks: for a connection on which nothing should happen.
    func rest(_ told: @escaping () -> Void) {
        guard buffer == nil, !hasEnded, failure == nil else { return told() }
        disturbed = told
        context?.read()
    }

    /// Ends the rest. Whether nothing has come and the connection stands.
    func wake() -> Bool {
        disturbed = nil
        return buffer == nil && !hasEnded && failure == nil && context != nil
    }

    private func disturb() {
        let told = disturbed
        disturbed = nil
        told?()
    }

    private func tellEnd() {
        let promise = ending
        ending = nil
        promise?.succeed()
        disturb()
    }

    /// Where a stream stands for whoever takes it over.
    struct Unread {
        /// Read, and taken by nobody.
        var bytes: ByteBuffer?
        var hasEnded: Bool
        var failure: (any Error)?
    }

    func takeUnread() -> Unread { Unread(bytes: takeBuffer(), hasEnded: hasEnded, failure: failure) }

    /// Bytes that were read and that nobody has taken, or asked for.
    func takeBuffer() -> ByteBuffer? {
        defer { buffer = nil }
        return buffer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard bytes.readableBytes > 0 else { return }
        if buffer != nil {
            buffer?.writeImmutableBuffer(bytes)
        } else {
            buffer = bytes
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if let bytes = buffer, let promise = takeWaiting() {
            buffer = nil
            promise.succeed(bytes)
        } else if waiting != nil || handshake != nil || (ending != nil || disturbed != nil) && buffer == nil {
            // A read that brought no bytes (records of a handshake, frames without data) is repeated.
            context.read()
        } else if buffer != nil {
            disturb()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiated):
            let promise = handshake
            handshake = nil
            promise?.succeed(negotiated)
        case ChannelEvent.inputClosed: finish(nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(nil)
        clearAlarm()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What breaks after the peer has ended concerns what is sent to it only.
        if !hasEnded { failure = failure ?? error }
        tellEnd()
        if let promise = handshake {
            handshake = nil
            promise.fail(error)
        }
        // What came before is given out first.
        guard buffer == nil else { return flush() }
        takeWaiting()?.fail(error)
    }

    private func finish(_ error: (any Error)?) {
        hasEnded = true
        tellEnd()
        if let promise = handshake {
            handshake = nil
            promise.fail(failure ?? error ?? ChannelError.eof)
        }
        guard buffer == nil else { return flush() }
        guard let promise = takeWaiting() else { return }
        if let error = failure ?? error { promise.fail(error) } else { promise.succeed(nil) }
    }

    private func flush() {
        guard let bytes = buffer, let promise = takeWaiting() else { return }
        buffer = nil
        promise.succeed(bytes)
    }

    private func takeWaiting() -> EventLoopPromise<ByteBuffer?>? {
        due = nil
        defer { waiting = nil }
        return waiting
    }
}
