import NIOCore
import NIOPosix
import NIOSSL
import PosternConnector
import PosternTunnelLink

/// A server at loopback that speaks TLS with a certificate, HTTP/1.1 by ALPN, and then does what a test says.
enum TLSServer {
    /// Runs `body` beside it, with its port. `serve` has each connection after the handshake.
    static func run(
        _ leaf: ConnectorCertificates.Made, serve: @escaping @Sendable (ByteStream) async throws -> Void,
        _ body: @escaping @Sendable (_ port: Int) async throws -> Void
    ) async throws {
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
                                try? await {
                                    _ = try await stream.startTLS(within: .seconds(20)) { NIOSSLServerHandler(context: context) }
                                    try await serve(stream)
                                }()
                                stream.close()
                            }
                        }
                    }
                }
            }
            try await body(port)
        }
    }
}
