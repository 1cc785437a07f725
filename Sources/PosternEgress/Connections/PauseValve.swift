import NIOCore

/// Holds what a connection reads and writes while its session is paused. Next to the socket, so that TLS stands still too. While it is
/// closed nothing is asked of the socket, so that what it holds is bounded by what one read brings and one writer has under way.
/// Used on its event loop only.
final class PauseValve: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData
    static let name = "postern.pause"

    private enum Inbound {
        case bytes(NIOAny)
        case complete
        case event(Any)
    }
    private enum Outbound {
        case write(NIOAny, EventLoopPromise<Void>?)
        case flush
        case closeOutput(EventLoopPromise<Void>?)
    }

    private let removed: () -> Void
    private var context: ChannelHandlerContext?
    private var isClosed = false
    private var wantsRead = false
    private var inbound: [Inbound] = []
    private var outbound: [Outbound] = []

    init(removed: @escaping () -> Void) {
        self.removed = removed
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        fail(ChannelError.ioOnClosedChannel)
        removed()
    }

    var isPaused: Bool { isClosed }

    func close() { isClosed = true }

    /// Ends the connection at its socket, without the farewell of TLS that could wait for a peer.
    func abort() { context?.close(mode: .all, promise: nil) }

    func open() {
        isClosed = false
        guard let context else { return }
        release(context)
        guard !isClosed else { return }
        let held = outbound
        outbound = []
        for one in held {
            switch one {
            case .write(let data, let promise): context.write(data, promise: promise)
            case .flush: context.flush()
            case .closeOutput(let promise): context.close(mode: .output, promise: promise)
            }
        }
        if wantsRead {
            wantsRead = false
            context.read()
        }
    }

    private func release(_ context: ChannelHandlerContext) {
        let held = inbound
        inbound = []
        for one in held {
            switch one {
            case .bytes(let data): context.fireChannelRead(data)
            case .complete: context.fireChannelReadComplete()
            case .event(let event): context.fireUserInboundEventTriggered(event)
            }
        }
    }

    private func fail(_ error: any Error) {
        let held = outbound
        outbound = []
        for one in held {
            switch one {
            case .write(_, let promise), .closeOutput(let promise): promise?.fail(error)
            case .flush: break
            }
        }
    }

    // MARK: From the socket

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isClosed { inbound.append(.bytes(data)) } else { context.fireChannelRead(data) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isClosed { inbound.append(.complete) } else { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isClosed { inbound.append(.event(event)) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // The connection is gone, paused or not; what it brought before still counts.
        release(context)
        fail(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    // MARK: To the socket

    func read(context: ChannelHandlerContext) {
        if isClosed { wantsRead = true } else { context.read() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isClosed { outbound.append(.write(data, promise)) } else { context.write(data, promise: promise) }
    }

    func flush(context: ChannelHandlerContext) {
        if isClosed { outbound.append(.flush) } else { context.flush() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // Ending the whole connection is always possible: a paused session can still be cut.
        if isClosed, mode == .output { return outbound.append(.closeOutput(promise)) }
        context.close(mode: mode, promise: promise)
    }
}
