import Logging
import NIOCore
import NIOPosix
import PosternPolicy

/// Serves one session's listening sockets.
package struct SessionProxy: Sendable {
    let context: SessionContext
    let forwards: SessionForwards
    private let transparent: TransparentAccess
    private let group: any EventLoopGroup

    /// Throws where the certificate authority or the roots cannot be set up. `resolve` is the system's resolver but in tests.
    init(
        _ configuration: EgressConfiguration, group: any EventLoopGroup, resolve: @escaping NameResolver, reporter: EgressReporter, logger: Logger
    ) throws {
        context = try SessionContext(configuration, group: group, resolve: resolve, reporter: reporter, logger: logger)
        self.group = group
        let direct = Dialer(
            group: group, resolve: resolve, time: .milliseconds(Int64(configuration.limits.handshakeMilliseconds)), gate: context.gate)
        forwards = try SessionForwards(configuration.forwards, digestKey: configuration.digestKey, context, dialer: direct, group: group)
        transparent = TransparentAccess(
            TunnelIntake(context: context), mostConnections: configuration.limits.connections, gate: context.gate, group: group, logger: logger)
    }

    /// Serves `descriptor`, which it owns, until the task is cancelled; then every connection ends.
    func serve(_ listener: EgressCommand.Listener, _ descriptor: Int32) async throws {
        switch listener {
        case .proxy: try await serve(descriptor)
        case .datagramNames: try await transparent.serveNames(datagrams: descriptor)
        case .streamNames: try await transparent.serveNames(connections: descriptor)
        case .http: try await transparent.serve(.http, port: 80, descriptor: descriptor)
        case .https: try await transparent.serve(.https, port: 443, descriptor: descriptor)
        case .forward(let name): try await forwards.serve(name, descriptor: descriptor)
        }
    }

    private func serve(_ descriptor: Int32) async throws {
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(descriptor) { [gate = context.gate] channel in gate.admit(channel) }
        let connection = ClientConnection(context: context)
        let slots = ConnectionSlots(context.limits.connections)
        defer { context.live.cutAll() }
        try await withThrowingDiscardingTaskGroup { tasks in
            try await server.executeThenClose { accepted in
                for try await channel in accepted {
                    guard slots.take() else {
                        context.logger.warning("too many connections", metadata: ["session": "\(context.session)"])
                        channel.close(promise: nil)
                        continue
                    }
                    tasks.addTask {
                        await withTaskCancellationHandler {
                            await connection.serve(channel)
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
