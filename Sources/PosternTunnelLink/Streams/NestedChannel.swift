import NIOCore
import Synchronization

/// A channel inside another one's pipeline, with a pipeline of its own: inner TLS of a leg's stream lives in it. A handler of TLS asks its
/// channel whether one half may be closed, and a stream channel of HTTP/2 ends the process when it is asked for an option that it does not
/// know.
///
/// The promise of `@unchecked Sendable` is kept so: `stored` is set in `init` and never again, `context` and `isAutoReading` are touched on the
/// event loop only, and the flag that others read is behind a mutex.
final class NestedChannel: Channel, ChannelCore, @unchecked Sendable {
    let eventLoop: any EventLoop
    let allocator: ByteBufferAllocator
    let parent: (any Channel)?
    private let closed: EventLoopPromise<Void>
    private let active = Mutex(false)
    private var stored: ChannelPipeline?
    private var context: ChannelHandlerContext?
    private var isAutoReading = false

    /// To be put into the pipeline of `outer`.
    let handler: Handler

    init(in outer: any Channel) {
        eventLoop = outer.eventLoop
        allocator = outer.allocator
        parent = outer
        closed = outer.eventLoop.makePromise()
        handler = Handler()
        stored = ChannelPipeline(channel: self)
        handler.channel = self
    }

    // MARK: Channel

    var pipeline: ChannelPipeline { stored ?? ChannelPipeline(channel: self) }
    var closeFuture: EventLoopFuture<Void> { closed.futureResult }
    var localAddress: SocketAddress? { parent?.localAddress }
    var remoteAddress: SocketAddress? { parent?.remoteAddress }
    var isWritable: Bool { parent?.isWritable ?? false }
    var isActive: Bool { active.withLock { $0 } }
    var _channelCore: any ChannelCore { self }
    var syncOptions: (any NIOSynchronousChannelOptions)? { Options(channel: self) }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        eventLoop.submit { try self.set(option, value) }
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> { eventLoop.submit { try self.get(option) } }

    private struct Options: NIOSynchronousChannelOptions {
        let channel: NestedChannel
        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws { try channel.set(option, value) }
        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value { try channel.get(option) }
    }

    private func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        guard option is ChannelOptions.Types.AutoReadOption, let value = value as? Bool else { throw ChannelError.operationUnsupported }
        isAutoReading = value
    }

    private func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Bool? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: isAutoReading
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: true
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }

    // MARK: ChannelCore

    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        context.write(data, promise: promise)
    }

    func flush0() { context?.flush() }
    func read0() { context?.read() }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        context.close(mode: mode, promise: promise)
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func channelRead0(_ data: NIOAny) {}
    func errorCaught0(error: any Error) {}

    // MARK: From outside

    /// The end of the outer pipeline: what comes there goes into the inner one. Used on its event loop only.
    final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        weak var channel: NestedChannel?
        /// Holds the inner channel for as long as the outer one lives.
        private var held: NestedChannel?

        func handlerAdded(context: ChannelHandlerContext) {
            held = channel
            held?.context = context
            if context.channel.isActive { held?.begin() }
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            held?.end()
            held = nil
        }

        func channelActive(context: ChannelHandlerContext) {
            held?.begin()
            context.fireChannelActive()
        }

        func channelInactive(context: ChannelHandlerContext) {
            held?.end()
            context.fireChannelInactive()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { held?.pipeline.fireChannelRead(unwrapInboundIn(data)) }
        func channelReadComplete(context: ChannelHandlerContext) { held?.pipeline.fireChannelReadComplete() }
        func channelWritabilityChanged(context: ChannelHandlerContext) { held?.pipeline.fireChannelWritabilityChanged() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { held?.pipeline.fireErrorCaught(error) }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? ChannelEvent { held?.pipeline.fireUserInboundEventTriggered(event) }
        }
    }

    private func begin() {
        let begins = active.withLock { isActive in
            defer { isActive = true }
            return !isActive
        }
        if begins { pipeline.fireChannelActive() }
    }

    private func end() {
        guard context != nil else { return }
        context = nil
        active.withLock { $0 = false }
        pipeline.fireChannelInactive()
        eventLoop.execute {
            self.removeHandlers(pipeline: self.pipeline)
            self.closed.succeed()
        }
    }
}
