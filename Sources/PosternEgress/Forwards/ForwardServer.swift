import Logging
import NIOCore
import NIOPosix
import PosternPolicy

/// Serves one forward on a listening descriptor that was made inside a sandbox's network namespace.
package struct ForwardServer: Sendable {
    /// Handles the connections of one kind of forward.
    package protocol Handler: Sendable {
        var forward: Forward { get }
        /// Serves the connection until it ends; closes it. `channel` has no handlers and does not read by itself yet.
        func serve(_ channel: any Channel, connection: Int) async
    }

    private let handler: any Handler
    /// Connections at one time; what comes beyond is closed at once.
    private let mostConnections: Int
    private let gate: PauseGate
    private let group: any EventLoopGroup
    private let logger: Logger

    init(_ handler: any Handler, mostConnections: Int = 64, gate: PauseGate = PauseGate(), group: any EventLoopGroup, logger: Logger) {
        self.handler = handler
        self.mostConnections = mostConnections
        self.gate = gate
        self.group = group
        self.logger = logger
    }

    /// Accepts until the task is cancelled, then ends every connection. Owns `descriptor`.
    package func run(descriptor: Int32) async throws {
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(descriptor) { [gate] channel in gate.admit(channel) }
        let slots = ConnectionSlots(mostConnections)
        try await withThrowingDiscardingTaskGroup { tasks in
            try await server.executeThenClose { accepted in
                var count = 0
                for try await channel in accepted {
                    count += 1
                    let connection = count
                    guard slots.take() else {
                        logger.warning("forward is full", metadata: ["forward": "\(handler.forward.name)", "connections": "\(mostConnections)"])
                        channel.close(promise: nil)
                        continue
                    }
                    tasks.addTask {
                        await withTaskCancellationHandler {
                            await handler.serve(channel, connection: connection)
                        } onCancel: {
                            channel.close(promise: nil)
                        }
                        slots.give()
                    }
                }
            }
            tasks.cancelAll()
        }
    }
}

/// A connection as a sequence of bytes and a writer, both with back-pressure.
typealias ByteChannel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

extension ByteChannel {
    /// Takes a connected channel over, which begins to read.
    static func taking(_ channel: any Channel) async throws -> ByteChannel {
        let taken = try await channel.eventLoop.submit { try ByteChannel(wrapping: channel) }.get()
        try await channel.setOption(.autoRead, value: true).get()
        return taken
    }

    /// The same on the channel's event loop; reading is the caller's to begin.
    init(wrapping channel: any Channel) throws {
        try self.init(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
    }
}

extension Channel {
    /// Closes the channel when the time is over, unless the returned task is cancelled first.
    func closing(after time: TimeAmount) -> Scheduled<Void> {
        eventLoop.scheduleTask(in: time) { self.close(promise: nil) }
    }
}
