import Crypto
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PosternHTTP
import PosternMCP
import PosternTLS
import PosternTunnelLink
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// An edge that writes down all that a runtime shows it, and then says what one says that found no connector.
final class SpyEdge: Sendable {
    /// What one call has shown.
    struct Seen: Sendable {
        /// The request, line by line.
        var request: [String]
        /// The server name of inner TLS.
        var serverName: String?
        /// The client certificate of outer TLS.
        var certificate: [UInt8]
        /// The ClientHello as it came.
        var hello: [UInt8]

        /// Everything, as one text to look through.
        var bytes: [UInt8] { Array(request.joined(separator: "\n").utf8) + certificate + hello }
        /// Routes that the certificate names.
        var routes: [String] {
            get throws { try RuntimeIdentity(certificate: Certificate(derEncoded: certificate)).routes }
        }
    }

    static let name = "tunnel.example.com"

    private let server: NIOAsyncChannel<ByteStream, Never>
    private let tls: NIOSSLContext
    private let authority: String
    private let port: Int
    private let calls = Mutex<[Seen]>([])

    private init() async throws {
        let authority = try RuntimeAuthority.make(workspaceID: "edge", notBefore: Date() - 60, notAfter: Date() + 3600)
        let key = P256.Signing.PrivateKey()
        let leaf = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: Date() - 60, notValidAfter: Date() + 3600,
            issuer: authority.certificate.subject, subject: try DistinguishedName { CommonName("edge") }, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions { SubjectAlternativeNames([.dnsName(Self.name)]) }, issuerPrivateKey: .init(authority.key))
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: leaf.serializeAsPEM().derBytes, format: .der))],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)))
        configuration.certificateVerification = .noHostnameVerification
        configuration.applicationProtocols = ["http/1.1"]
        tls = try NIOSSLContext(configuration: configuration)
        self.authority = try authority.certificatePEM
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture { try ByteStream.attachInEventLoop(to: channel) }
            }
        port = server.channel.localAddress?.port ?? 0
    }

    /// Where it is.
    var edge: TunnelRoute.Edge { .init(addresses: [EdgeAddress(host: "127.0.0.1", port: port)], name: Self.name, authorities: authority) }

    /// What it has seen since it was last asked.
    func take() -> [Seen] {
        calls.withLock { calls in
            defer { calls = [] }
            return calls
        }
    }

    static func run(_ body: @escaping @Sendable (SpyEdge) async throws -> Void) async throws {
        let spy = try await SpyEdge()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withThrowingDiscardingTaskGroup { group in
                    try await spy.server.executeThenClose { inbound in
                        for try await stream in inbound {
                            group.addTask {
                                try? await spy.listen(stream)
                                await stream.closeGently(within: .seconds(1))
                            }
                        }
                    }
                }
            }
            try await body(spy)
            group.cancelAll()
        }
    }

    private func listen(_ stream: ByteStream) async throws {
        let tls = tls
        _ = try await stream.startTLS(within: .seconds(10)) {
            NIOSSLServerHandler(
                context: tls, customVerificationCallback: { _, promise in promise.succeed(.certificateVerified) }, configuration: .init())
        }
        var reader = MessageReader(stream)
        guard let lines = try await reader.head(idle: .seconds(10), whole: .seconds(10)) else { return }
        let certificate = try await stream.inspect { try $0.handler(type: NIOSSLHandler.self).peerCertificate?.toDERBytes() }
        try await stream.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
        guard let hello = try await stream.clientHello(within: .seconds(10)) else { return }
        let seen = Seen(
            request: lines.map { String(decoding: $0, as: UTF8.self) }, serverName: hello.hello.serverName, certificate: certificate ?? [],
            hello: Array(hello.bytes.readableBytesView))
        calls.withLock { $0.append(seen) }
        try await stream.write(TLSAlert.internalError.record)
    }
}
