import NIOCore
import NIOSSL
import PosternPolicy

/// TLS towards servers: TLS 1.2 or later, verified against the system's roots and those that the operator adds. Nothing turns that off.
struct UpstreamTLS: Sendable {
    private let context: NIOSSLContext

    /// `extraRoots` is PEM.
    init(extraRoots: String?) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        configuration.trustRoots = .default
        configuration.applicationProtocols = ["http/1.1"]
        if let extraRoots {
            configuration.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMBytes(Array(extraRoots.utf8)))]
        }
        context = try NIOSSLContext(configuration: configuration)
    }

    /// For a connection to `host`: its name is asked for by SNI and has to be in the server's certificate; an address is compared likewise.
    func handler(for host: CanonicalHost) throws -> NIOSSLClientHandler {
        if case .name(let name) = host { return try NIOSSLClientHandler(context: context, serverHostname: name) }
        return try NIOSSLClientHandler(context: context, serverHostname: nil)
    }
}
