import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternTunnelLink

/// Ends TLS in front of an edge, as a load balancer does, with a certificate of its own for the edge's name; what it can read it leaves alone.
enum TerminatingRelay {
    /// Runs `body` beside it, with its port.
    static func run(_ world: TunnelWorld, _ leaf: ConnectorCertificates.Made, _ body: @escaping @Sendable (_ port: Int) async throws -> Void)
        async throws
    {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(leaf.certificatePEM.utf8)).map { NIOSSLCertificateSource.certificate($0) }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(leaf.keyPEM.utf8), format: .pem)))
        tls.applicationProtocols = ["http/1.1"]
        let context = try NIOSSLContext(configuration: tls)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).childChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        let port = server.channel.localAddress?.port ?? 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await withThrowingDiscardingTaskGroup { connections in
                    try await server.executeThenClose { inbound in
                        for try await stream in inbound {
                            connections.addTask {
                                try? await relay(stream, context, world)
                                stream.close()
                            }
                        }
                    }
                }
            }
            try await body(port)
        }
    }

    private static func relay(_ client: ByteStream, _ context: NIOSSLContext, _ world: TunnelWorld) async throws {
        _ = try await client.startTLS(within: .seconds(20)) { NIOSSLServerHandler(context: context) }
        let edge = try await TunnelClient.dial(world.port)
        defer { edge.close() }
        try await TunnelClient.outer(edge, world)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await pass(client, edge) }
            group.addTask { await pass(edge, client) }
        }
    }

    private static func pass(_ from: ByteStream, _ to: ByteStream) async {
        while let bytes = try? await from.read() {
            guard (try? await to.write(bytes)) != nil else { break }
        }
        from.close()
        to.close()
    }
}
