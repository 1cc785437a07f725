import NIOCore
import NIOHPACK
import NIOHTTP2
import PosternTunnelWire

/// One call on a leg: an HTTP/2 `CONNECT` stream (RFC 9113, section 8.5) as bytes. Used on its event loop only.
final class LegStreamHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    enum Role {
        /// The edge: asks for `authority`, and `opened` hears of the answer.
        case caller(authority: String, opened: EventLoopPromise<Void>)
        /// The connector: hears of the authority that is asked for.
        case callee(asked: (String) -> Void)
    }

    private let role: Role
    private let windows: LegWindows
    private var window: StreamWindow
    private var holdsWindow = true
    private var context: ChannelHandlerContext?
    private var hasSentHeaders = false
    private var hasReceivedHeaders = false
    private var hasEnded = false
    private var hasInputEnded = false
    /// Somebody has asked for more and has not been given any since.
    private var isAsked = false

    init(_ role: Role, _ windows: LegWindows) {
        self.role = role
        self.windows = windows
        window = StreamWindow(&windows.budget)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { ask(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        releaseWindow()
        fail(LegStreamError.closed)
    }

    private func releaseWindow() {
        guard holdsWindow else { return }
        holdsWindow = false
        windows.budget.close(window.granted)
    }

    func channelActive(context: ChannelHandlerContext) {
        ask(context)
        context.fireChannelActive()
    }

    private func ask(_ context: ChannelHandlerContext) {
        guard case .caller(let authority, _) = role, !hasSentHeaders else { return }
        hasSentHeaders = true
        let headers: HPACKHeaders = [":method": "CONNECT", ":authority": authority]
        // On a leg whose TLS is about to end the write fails and nothing else tells of it: the stream never becomes one.
        let written = context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        written.futureResult.assumeIsolated().whenFailure { error in
            self.fail(LegStreamError.broken("\(error)"))
            channel.close(promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: headers))), promise: written)
    }

    /// Answers the request: 200 opens the stream, another status ends it.
    func answer(_ status: Int) {
        guard let context, !hasSentHeaders else { return }
        hasSentHeaders = true
        hasEnded = status != 200
        let headers: HPACKHeaders = [":status": String(status)]
        context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: headers, endStream: status != 200))), promise: nil)
    }

    /// Ends the stream at once, with the error code; nothing above it is asked.
    func abort(_ code: HTTP2ErrorCode = .cancel) {
        guard let context else { return }
        hasEnded = true
        context.writeAndFlush(wrapOutboundOut(.rstStream(code)), promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        isAsked = true
        window.taken()
        context.read()
        // Only after what waited was given out: behind the peer's end there is no window to renew.
        guard holdsWindow, !hasInputEnded, let more = window.renewal(&windows.budget) else { return }
        context.writeAndFlush(wrapOutboundOut(.windowUpdate(windowSizeIncrement: more)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let headers):
            isAsked = false
            received(headers, context)
        case .data(let data):
            let bytes = if case .byteBuffer(let bytes) = data.data { bytes } else { ByteBuffer() }
            if bytes.readableBytes > 0 {
                isAsked = false
                window.passed(bytes.readableBytes)
                context.fireChannelRead(wrapInboundOut(bytes))
            }
            hasInputEnded = hasInputEnded || data.endStream
            if data.endStream { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) } else { askAgain(context) }
        default: askAgain(context)
        }
    }

    /// A frame that gives nothing, such as a window update, has used up the asking: whoever waits would wait for ever. Nothing is read that nobody
    /// asks for, or a peer could fill memory with such frames.
    private func askAgain(_ context: ChannelHandlerContext) {
        if isAsked { context.read() }
    }

    private func received(_ frame: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        if !hasReceivedHeaders {
            hasReceivedHeaders = true
            switch role {
            case .caller(_, let opened):
                let status = frame.headers.first(name: ":status").flatMap { Int($0) } ?? 0
                if status == 200 { opened.succeed() } else { opened.fail(LegStreamError.answered(status)) }
            case .callee(let asked):
                if frame.headers.first(name: ":method") == "CONNECT", let authority = frame.headers.first(name: ":authority") {
                    asked(authority)
                } else {
                    answer(400)
                }
            }
        }
        hasInputEnded = hasInputEnded || frame.endStream
        if frame.endStream { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        context.write(wrapOutboundOut(.data(.init(data: .byteBuffer(unwrapOutboundIn(data))))), promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        let endsNow = !hasEnded && hasSentHeaders
        hasEnded = true
        let end = HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))
        guard mode == .output else {
            // What was written arrives as a whole; only what the peer still sends is cut.
            if endsNow { context.writeAndFlush(wrapOutboundOut(end), promise: nil) }
            return context.close(mode: mode, promise: promise)
        }
        guard endsNow else {
            promise?.succeed()
            return
        }
        context.writeAndFlush(wrapOutboundOut(end), promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let refused = (error as? NIOHTTP2Errors.StreamClosed)?.errorCode == .refusedStream
        fail(refused ? LegStreamError.refused : LegStreamError.broken("\(error)"))
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        releaseWindow()
        fail(LegStreamError.closed)
        context.fireChannelInactive()
    }

    private func fail(_ error: LegStreamError) {
        // A promise takes its first answer only; later ones are dropped.
        if case .caller(_, let opened) = role, !hasReceivedHeaders {
            hasReceivedHeaders = true
            opened.fail(error)
        }
    }
}

/// Why a stream of a leg did not open.
package enum LegStreamError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It was surely not looked at (RFC 9113, section 8.7): another leg may be asked.
    case refused
    /// The connector answered with this status.
    case answered(Int)
    case closed
    case broken(String)
    case timedOut

    package var description: String {
        switch self {
        case .refused: "the connector refused the stream unopened"
        case .answered(404): "the connector has no such route"
        case .answered(let status): "the connector answered with status \(status)"
        case .closed: "the leg ended before the connector answered"
        case .broken(let reason): "the stream broke: \(reason)"
        case .timedOut: "the connector did not answer in time"
        }
    }
}
