import NIOCore
import NIOHTTP2
import PosternTunnelWire

/// A leg as a whole, behind its HTTP/2: asks the peer by PING whether it lives (RFC 9113, section 6.7), ends a leg that does not answer, and
/// tells of a GOAWAY. Used on its event loop only.
final class LegControlHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// The data of a PING by which an edge says that there is news of the tunnel's registrations: `postnews`.
    static let news: UInt64 = 0x706F_7374_6E65_7773

    private let onGoAway: (Int) -> Void
    private let onNews: () -> Void
    private let interval: TimeAmount
    private let patience: TimeAmount
    private var context: ChannelHandlerContext?
    private var next: Scheduled<Void>?
    private var deadline: Scheduled<Void>?
    private var count: UInt64 = 0

    /// `onGoAway` hears of the last stream that the peer will look at; of 0 when the leg is about to end.
    init(interval: TimeAmount, patience: TimeAmount, onGoAway: @escaping (Int) -> Void, onNews: @escaping () -> Void = {}) {
        self.interval = interval
        self.patience = patience
        self.onGoAway = onGoAway
        self.onNews = onNews
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        wait(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        onGoAway(0)
        stop()
        context.fireChannelInactive()
    }

    private func stop() {
        context = nil
        next?.cancel()
        deadline?.cancel()
    }

    private func wait(_ context: ChannelHandlerContext) {
        next = context.eventLoop.assumeIsolated().scheduleTask(in: interval) { self.ping() }
    }

    private func ping() {
        guard let context else { return }
        count += 1
        let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(withInteger: count), ack: false))
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: patience) {
            if let context = self.context { self.end(context) }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data).payload {
        case .ping(let data, ack: true) where data.integer == count:
            deadline?.cancel()
            deadline = nil
            wait(context)
        case .ping(let data, ack: false) where data.integer == Self.news: onNews()
        case .goAway(let last, _, _): onGoAway(Int(last))
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A leg has no use with one direction only.
        if let event = event as? ChannelEvent, event == .inputClosed { end(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // Of single streams, which have heard of it themselves: something was on its way when they ended.
        case is NIOHTTP2Errors.NoSuchStream, is NIOHTTP2Errors.StreamClosed, is NIOHTTP2Errors.StreamError,
            is NIOHTTP2Errors.BadStreamStateTransition:
            break
        // A connection error of HTTP/2 (RFC 9113, section 5.4.1), or of TLS below it.
        default: end(context)
        }
    }

    /// TLS waits a moment for the peer's farewell: nobody may use the leg meanwhile.
    private func end(_ context: ChannelHandlerContext) {
        onGoAway(0)
        context.close(promise: nil)
    }
}
