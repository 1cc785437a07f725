import NIOCore
import NIOSSL
import PosternTunnelLink
import SwiftASN1
import X509

/// The client certificate of outer TLS. The handshake has proved that its key was used, and nothing else of it.
enum ClientCertificate {
    /// `nil` where none was shown, or none that can be read.
    static func of(_ stream: ByteStream) async throws -> Certificate? {
        let der = try await stream.inspect { try $0.handler(type: NIOSSLHandler.self).peerCertificate?.toDERBytes() }
        return der.flatMap { try? Certificate(derEncoded: $0) }
    }
}
