import Logging
import NIOCore
import NIOPosix
import PosternPolicy
import Synchronization

/// Serves programs that ignore proxy variables (Node's `fetch`, Java) inside one sandbox: its resolver and the ports that the resolver's
/// addresses lead to. All descriptors were made inside the sandbox's network namespace.
package final class TransparentAccess: Sendable {
    private let resolver = Mutex(SyntheticResolver())
    private let intake: any ConnectionIntake
    private let gate: PauseGate
    private let group: any EventLoopGroup
    private let logger: Logger
    /// Connections at one time, over all listeners.
    private let slots: ConnectionSlots

    init(
        _ intake: any ConnectionIntake, mostConnections: Int = 256, gate: PauseGate = PauseGate(), group: any EventLoopGroup, logger: Logger
    ) {
        self.intake = intake
        slots = ConnectionSlots(mostConnections)
        self.gate = gate
        self.group = group
        self.logger = logger
    }

    private typealias Datagrams = NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>

    /// Answers queries on a UDP descriptor bound to 127.0.0.1:53, which it owns, until the task is cancelled.
    package func serveNames(datagrams descriptor: Int32) async throws {
        // The bootstrap's own async variant refuses every bound datagram socket (swift-nio 2.101.2).
        let wrapped = group.any().makePromise(of: Datagrams.self)
        do {
            _ = try await DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { wrapped.succeed(try Datagrams(wrappingChannelSynchronously: channel)) }
                }
                .withBoundSocket(descriptor).get()
        } catch {
            wrapped.fail(error)
        }
        let channel = try await wrapped.futureResult.get()
        try await channel.executeThenClose { queries, answers in
            for try await query in queries {
                guard let answer = answer(query.data) else { continue }
                try await answers.write(AddressedEnvelope(remoteAddress: query.remoteAddress, data: ByteBuffer(bytes: answer)))
            }
        }
    }

    /// Answers queries on a listening TCP descriptor, which it owns, until the task is cancelled.
    package func serveNames(connections descriptor: Int32) async throws {
        try await accept(descriptor) { channel in
            // A resolver's client asks at once or not at all.
            let timer = channel.closing(after: .seconds(30))
            defer { timer.cancel() }
            do {
                let client = try await ByteChannel.taking(channel)
                try await client.executeThenClose { inbound, outbound in
                    var stream = DNSStream()
                    for try await bytes in inbound {
                        stream.append(bytes.readableBytesView)
                        while let query = try stream.next() {
                            guard let answer = self.answer(ByteBuffer(bytes: query)) else { continue }
                            try await outbound.write(ByteBuffer(bytes: DNSStream.framed(answer)))
                        }
                    }
                }
            } catch {
                channel.close(promise: nil)
            }
        }
    }

    /// Hands on what is dialled at a synthetic address. Owns `descriptor`, a TCP listener on all addresses of the sandbox's loopback.
    package func serve(_ scheme: TransparentScheme, port: UInt16, descriptor: Int32) async throws {
        try await accept(descriptor) { channel in
            guard let address = channel.localAddress, let bytes = Self.v4(address) else { return channel.close(promise: nil) }
            if let target = self.resolver.withLock({ $0.name(of: bytes) }) {
                await self.intake.take(channel, target: target, port: port, scheme: scheme)
            } else {
                channel.close(promise: nil)
                await self.intake.refuse(
                    address: address.ipAddress ?? "", port: port, reason: "the address stands for no name that was asked for; ask again")
            }
        }
    }

    private func answer(_ query: ByteBuffer) -> [UInt8]? {
        resolver.withLock { $0.answer(Array(query.readableBytesView)) }
    }

    private func accept(_ descriptor: Int32, _ serve: @escaping @Sendable (any Channel) async -> Void) async throws {
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(descriptor) { [gate] channel in gate.admit(channel) }
        try await withThrowingDiscardingTaskGroup { tasks in
            try await server.executeThenClose { accepted in
                for try await channel in accepted {
                    guard slots.take() else {
                        logger.warning("too many connections of one sandbox")
                        channel.close(promise: nil)
                        continue
                    }
                    tasks.addTask {
                        await withTaskCancellationHandler {
                            await serve(channel)
                        } onCancel: {
                            channel.close(promise: nil)
                        }
                        self.slots.give()
                    }
                }
            }
            tasks.cancelAll()
        }
    }

    /// The address as a number; `nil` for what is not IPv4.
    private static func v4(_ address: SocketAddress) -> UInt32? {
        guard let text = address.ipAddress, case .v4(let value)? = IPAddress(text) else { return nil }
        return value
    }
}
