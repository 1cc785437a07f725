import FoundationEssentials
import NIOCore
import NIOSSL
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// Decides on the connector's certificate in one inner handshake, and remembers how: by the rules of tunnels and the tunnel's own authorities.
/// BoringSSL's check of chains and names, which would take public authorities and intermediate ones, has no part in it.
final class InnerVerifier: Sendable {
    private let authorities: [TunnelAuthority]
    private let host: String
    private let now: @Sendable () -> Date
    private let outcome = Mutex<Result<TunnelAuthority, CertificateRuleError>?>(nil)

    init(authorities: [TunnelAuthority], host: String, now: @escaping @Sendable () -> Date) {
        self.authorities = authorities
        self.host = host
        self.now = now
    }

    /// The handler of one connection.
    /// - Parameter serverName: what the ClientHello says, in the clear: the host, or what stands for it. The certificate has to name the host.
    func handler(_ context: NIOSSLContext, serverName: String) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverName) { [self] chain, promise in
            let result = judge(chain.first)
            outcome.withLock { $0 = result }
            switch result {
            case .success: promise.succeed(.certificateVerified)
            case .failure: promise.succeed(.failed)
            }
        }
    }

    /// The rule that was broken; `nil` where none was, or no certificate came.
    var refusal: CertificateRuleError? { outcome.withLock { if case .failure(let error)? = $0 { error } else { nil } } }

    /// Whether a certificate came and kept every rule.
    var hasAccepted: Bool { outcome.withLock { if case .success? = $0 { true } else { false } } }

    private func judge(_ leaf: NIOSSLCertificate?) -> Result<TunnelAuthority, CertificateRuleError> {
        // What comes behind the leaf is looked at by nobody: only a registered authority that has signed the leaf itself counts.
        guard let bytes = try? leaf?.toDERBytes() else { return .failure(.unreadable) }
        guard let certificate = try? Certificate(derEncoded: bytes) else { return .failure(.unreadable) }
        do throws(CertificateRuleError) {
            return .success(try ServerCertificateRules.check(leaf: certificate, authorities: authorities, host: host, now: now()))
        } catch {
            return .failure(error)
        }
    }
}
