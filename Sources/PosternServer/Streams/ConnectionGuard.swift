import NIOCore
import NIOHTTPTypes

/// Watches one connection: cuts it when its peer takes nothing for too long, and tells whoever serves a long request on it when the peer has gone
/// or the server is closing down.
final class ConnectionGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart

    private let stallTimeout: TimeAmount
    private var stall: Scheduled<Void>?
    private var onEnd: (@Sendable () -> Void)?
    private var hasEnded = false

    init(stallTimeout: Duration) { self.stallTimeout = TimeAmount(stallTimeout) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stall?.cancel()
        stall = nil
        if !context.channel.isWritable {
            let channel = context.channel
            stall = context.eventLoop.scheduleTask(in: stallTimeout) { channel.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed, is ChannelShouldQuiesceEvent: end()
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stall?.cancel()
        end()
        context.fireChannelInactive()
    }

    private func end() {
        hasEnded = true
        let action = onEnd
        onEnd = nil
        action?()
    }

    /// Calls `action` once when the connection ends or is to end; at once if it has. On a channel without a guard it is never called.
    static func whenEnding(_ channel: any Channel, _ action: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute {
            guard let handler = try? channel.pipeline.syncOperations.handler(type: ConnectionGuard.self) else { return }
            if handler.hasEnded { action() } else { handler.onEnd = action }
        }
    }

    /// Forgets the action of `whenEnding`.
    static func forget(_ channel: any Channel) {
        channel.eventLoop.execute { (try? channel.pipeline.syncOperations.handler(type: ConnectionGuard.self))?.onEnd = nil }
    }
}
