import NIOCore
import NIOSSL

/// The two TLS configurations of one key of connections: towards the edge and towards the connector. Both are TLS 1.3 with HTTP/1.1 and nothing else;
/// neither keeps sessions, so that no early data is ever sent and every handshake sees a certificate.
struct TunnelTLS: Sendable {
    /// `nil` for splicing.
    let outer: NIOSSLContext?
    let inner: NIOSSLContext

    /// Blocks: it may read the system's authorities.
    init(_ route: TunnelRoute, _ credentials: TunnelCredentials) throws {
        outer = route.way == .connect ? try NIOSSLContext(configuration: Self.outer(route.edge, credentials)) : nil
        inner = try NIOSSLContext(configuration: Self.inner(credentials))
    }

    static func outer(_ edge: TunnelRoute.Edge, _ credentials: TunnelCredentials) throws -> TLSConfiguration {
        var tls = base
        if let pem = edge.authorities { tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8))) }
        // One credential is enough: with an API key the edge does not learn who calls.
        if credentials.apiKey == nil { show(credentials, in: &tls) }
        return tls
    }

    static func inner(_ credentials: TunnelCredentials) -> TLSConfiguration {
        var tls = base
        // Replaced by `InnerVerifier`; no public authority is even loaded.
        tls.certificateVerification = .noHostnameVerification
        tls.trustRoots = .certificates([])
        show(credentials, in: &tls)
        return tls
    }

    private static var base: TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.maximumTLSVersion = .tlsv13
        tls.applicationProtocols = [TunnelTLS.protocolName]
        tls.shutdownTimeout = .seconds(1)
        return tls
    }

    private static func show(_ credentials: TunnelCredentials, in tls: inout TLSConfiguration) {
        tls.certificateChain = [.certificate(credentials.certificate)]
        tls.privateKey = .privateKey(credentials.key)
    }

    static let protocolName = "http/1.1"
}
