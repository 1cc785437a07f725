import Logging
import ManagedAgentsAPI
import NIOCore
import NIOPosix
import NIOSSL
import PosternTLS
import PosternTelemetry
import PosternTunnelLink
import PosternTunnelWire
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An edge: the public rendezvous of tunnels. It holds the key of its own name and nothing that opens a call.
package final class Edge: Sendable {
    private let settings: EdgeSettings
    private let directory: any EdgeDirectory
    private let metrics: EdgeMetrics
    private let logger: Logger
    private let group: any EventLoopGroup
    private let table: LegTable
    private let listener = Mutex<(channel: (any Channel)?, isDraining: Bool)>((nil, false))
    private let shares: EdgeShares
    private let windows: WindowPool

    package init(
        _ settings: EdgeSettings, directory: any EdgeDirectory, metrics: EdgeMetrics, logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.settings = settings
        self.directory = directory
        self.metrics = metrics
        self.logger = logger
        self.group = group
        shares = EdgeShares(settings.limits.shares, clock: settings.limits.clock)
        table = LegTable(legsPerWorkspace: settings.limits.shares.legsPerWorkspace, clock: settings.limits.clock)
        windows = WindowPool(settings.limits.windows)
    }

    /// Serves until `drain` or until it is cancelled. `onListening` hears of the port.
    package func run(onListening: @escaping @Sendable (Int) -> Void) async throws {
        let tls = try settings.outerTLS()
        let server = try await listen()
        let drains = listener.withLock { listener in
            listener.channel = server.channel
            return listener.isDraining
        }
        if drains { server.channel.close(promise: nil) }
        let ingress = Ingress(
            settings: settings, tls: tls, keys: try KeyDesk(settings), table: table, windows: windows, directory: directory, metrics: metrics,
            logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await follow() }
            group.addTask { [self] in await report() }
            group.addTask { [self] in await watch() }
            group.addTask { [self] in
                try await accept(server, ingress, onListening)
            }
            // The listener ends first; what is left are calls, which have their time.
            try await group.next()
            group.cancelAll()
        }
    }

    private func listen() async throws -> NIOAsyncChannel<ByteStream, Never> {
        let bootstrap = ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        let attach: @Sendable (any Channel) -> EventLoopFuture<ByteStream> = { channel in
            channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
        }
        if let listener = settings.listener { return try await bootstrap.bind(listener, childChannelInitializer: attach) }
        let server = bootstrap.serverChannelOption(.backlog, value: 1024).serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        guard settings.host.isEmpty else { return try await server.bind(host: settings.host, port: settings.port, childChannelInitializer: attach) }
        do {
            // IPv4 comes in by the same socket, whatever the machine's default is.
            return try await server.serverChannelOption(ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 0)
                .bind(host: "::", port: settings.port, childChannelInitializer: attach)
        } catch let error as IOError where [EAFNOSUPPORT, EADDRNOTAVAIL, EINVAL].contains(error.errnoCode) {
            return try await server.bind(host: "0.0.0.0", port: settings.port, childChannelInitializer: attach)
        }
    }

    private func accept(_ server: NIOAsyncChannel<ByteStream, Never>, _ ingress: Ingress, _ onListening: @Sendable (Int) -> Void) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { inbound in
                onListening(server.channel.localAddress?.port ?? settings.port)
                for try await stream in inbound {
                    switch Admission.enter(stream.channel.remoteAddress, shares) {
                    case .failure(let refusal):
                        metrics.refusals.increment(labels: [refusal.rawValue])
                        // What TLS can say of it before a handshake; whoever floods gets no more of the edge's time.
                        stream.channel.writeAndFlush(ByteBuffer(bytes: TLSAlert.internalError.record), promise: nil)
                        stream.close()
                    case .success(let admission):
                        group.addTask {
                            await ingress.serve(stream, admission)
                            admission.leave()
                        }
                    }
                }
            }
            await finish()
            group.cancelAll()
        }
    }

    /// Takes no further connections; `run` returns when the calls have ended, or their time is over.
    package func drain() {
        let channel = listener.withLock { listener in
            listener.isDraining = true
            return listener.channel
        }
        channel?.close(promise: nil)
    }

    private func finish() async {
        // Connectors dial another edge, or this one's successor, while their calls here go on.
        for leg in table.legs.values.joined() { leg.leg.sayGoodbye() }
        await table.runningCalls.ended(within: settings.limits.drain)
    }

    /// Follows the tunnels of the control plane. While that does not answer, what was last known holds.
    private func follow() async {
        var revision: Int?
        var wait = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(EdgeDirectoryError) {
                let answer = try await directory.tunnels(after: revision)
                if answer.revision != revision || !table.isReady {
                    table.replace(answer)
                    shares.with { shares in shares.keep { table.tunnel(id: $0) != nil } }
                }
                revision = answer.revision
                wait = .milliseconds(200)
            } catch {
                if Task.isCancelled { return }
                metrics.directoryFailures.increment()
                logger.warning("the tunnels could not be asked for", metadata: ["reason": "\(error)"])
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(10))
            }
        }
    }

    /// Asks of the credentials on which running calls rest whether they still count, and cuts the calls of those that do not. While the control
    /// plane does not answer, what was last known holds.
    private func watch() async {
        while !Task.isCancelled {
            var rest = Array(table.principals)[...]
            while !rest.isEmpty {
                let part = rest.prefix(EdgeParams.Principals.most)
                rest = rest.dropFirst(part.count)
                let asked = table.now
                do throws(EdgeDirectoryError) {
                    table.heard(of: Array(part), ended: try await directory.ended(Array(part)), asked: asked)
                } catch {
                    metrics.directoryFailures.increment()
                    break
                }
            }
            try? await Task.sleep(for: .nanoseconds(settings.limits.recheck.nanoseconds))
        }
    }

    /// Tells the control plane which legs stand, for operators; calls do not depend on it.
    private func report() async {
        var last: [String: [EdgeLegReport]]?
        var silent = 0
        while !Task.isCancelled {
            let now = table.legs.mapValues { $0.map(\.report) }
            // What was said is forgotten after 90 s.
            if now != last || silent >= 30 {
                do throws(EdgeDirectoryError) {
                    try await directory.report(now)
                    last = now
                    silent = 0
                } catch {
                    metrics.directoryFailures.increment()
                }
            }
            silent += 2
            try? await Task.sleep(for: .seconds(2))
        }
    }
}
