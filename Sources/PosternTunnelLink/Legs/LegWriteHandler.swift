import NIOCore

/// Stands between a leg's HTTP/2 and its TLS and gathers what is written there in one turn of the event loop: small writes become one TLS record,
/// and all of it one write to the socket. HTTP/2 writes the head of a frame by itself and flushes each frame of each stream, which would make
/// records of nine bytes and a system call for every call on a leg. Used on its event loop only.
final class LegWriteHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = ByteBuffer

    /// Writes are joined up to this size, bytes: what fits into one TLS record (RFC 8446, section 5.1). Larger ones are not copied.
    static let record = 16_384

    private var gathered = ByteBuffer()
    /// Of the writes in `gathered`.
    private var promises: [EventLoopPromise<Void>] = []
    private var isFlushDue = false

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(let bytes) = unwrapOutboundIn(data) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if gathered.readableBytes + bytes.readableBytes > Self.record { pass(context) }
        if bytes.readableBytes > Self.record / 2 {
            pass(context)
            context.write(wrapOutboundOut(bytes), promise: promise)
        } else {
            gathered.writeImmutableBuffer(bytes)
            if let promise { promises.append(promise) }
        }
    }

    /// What was gathered goes on as one write.
    private func pass(_ context: ChannelHandlerContext) {
        guard gathered.readableBytes > 0 || !promises.isEmpty else { return }
        let (bytes, told) = (gathered, promises)
        gathered = ByteBuffer()
        promises = []
        guard !told.isEmpty else { return context.write(wrapOutboundOut(bytes), promise: nil) }
        let written = context.eventLoop.makePromise(of: Void.self)
        for promise in told { written.futureResult.cascade(to: promise) }
        context.write(wrapOutboundOut(bytes), promise: written)
    }

    /// At the end of the present turn, after what else is ready in it was written.
    func flush(context: ChannelHandlerContext) {
        guard !isFlushDue else { return }
        isFlushDue = true
        context.eventLoop.assumeIsolated().execute { self.flushNow(context) }
    }

    private func flushNow(_ context: ChannelHandlerContext) {
        guard isFlushDue else { return }
        isFlushDue = false
        pass(context)
        context.flush()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        flushNow(context)
        context.close(mode: mode, promise: promise)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isFlushDue = false
        let told = promises
        promises = []
        for promise in told { promise.fail(ChannelError.ioOnClosedChannel) }
    }
}
