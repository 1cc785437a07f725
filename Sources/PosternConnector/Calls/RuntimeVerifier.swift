import FoundationEssentials
import NIOCore
import NIOSSL
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// Decides on the client certificate of one inner handshake, and remembers how.
final class RuntimeVerifier: Sendable {
    private let authority: Certificate
    private let tunnel: ConnectorConfiguration.Tunnel
    private let now: @Sendable () -> Date
    private let failure = Mutex<CallError?>(nil)

    init(authority: Certificate, tunnel: ConnectorConfiguration.Tunnel, now: @escaping @Sendable () -> Date) {
        self.authority = authority
        self.tunnel = tunnel
        self.now = now
    }

    /// Why the certificate was refused; `nil` where it was not, or none came.
    var refusal: CallError? { failure.withLock { $0 } }

    /// The handler of one connection. No handshake is completed without a certificate that counts.
    func handler(_ context: NIOSSLContext) -> NIOSSLServerHandler {
        NIOSSLServerHandler(
            context: context,
            customVerificationCallback: { [self] chain, promise in
                do throws(CallError) {
                    _ = try check(chain.first)
                    promise.succeed(.certificateVerified)
                } catch {
                    failure.withLock { $0 = error }
                    promise.succeed(.failed)
                }
            }, configuration: .init())
    }

    /// Who holds the certificate. Asked again when the handshake is done: a resumed session brings its certificate along without the callback.
    func check(_ certificate: NIOSSLCertificate?) throws(CallError) -> RuntimeIdentity {
        guard let certificate else { throw .noCertificate }
        let parsed: Certificate
        do { parsed = try Certificate(derEncoded: certificate.toDERBytes()) } catch { throw .handshake("the client certificate cannot be read") }
        do throws(RuntimeCertificateError) {
            return try RuntimeCertificate.verify(
                parsed, authority: authority, now: now(), tunnelID: tunnel.id, workspaceID: tunnel.workspaceID)
        } catch {
            throw .certificate(error)
        }
    }
}
