import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternHTTP
import PosternTunnelLink
import PosternTunnelWire

/// An edge with the right certificate that answers questions for registrations as a test says.
enum RegistrationEdge {
    /// Runs `body` beside it, with its port.
    static func run(
        _ world: TunnelWorld, serve: @escaping @Sendable (ByteStream, RegistrationRequest) async throws -> Void,
        _ body: @escaping @Sendable (_ port: Int) async throws -> Void
    ) async throws {
        let leaf = world.edgeAuthority.leaf
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
                                try? await answer(stream, context, serve)
                                stream.close()
                            }
                        }
                    }
                }
            }
            try await body(port)
        }
    }

    private static func answer(
        _ stream: ByteStream, _ context: NIOSSLContext, _ serve: @Sendable (ByteStream, RegistrationRequest) async throws -> Void
    ) async throws {
        _ = try await stream.startTLS(within: .seconds(10)) { NIOSSLServerHandler(context: context) }
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(10), whole: .seconds(10)) else { return }
        try await serve(stream, try RegistrationRequest(try RequestHead(lines: lines)))
    }
}
