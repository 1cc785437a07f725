import FoundationEssentials
import NIOCore
import NIOSSL
import PosternTunnelWire
import SwiftASN1
import Synchronization
import X509

/// Decides on the client certificate of one inner handshake, and remembers how: reading a certificate and checking its signature takes as long as
/// the rest of the handshake.
final class RuntimeVerifier: Sendable {
    private let authority: Certificate
    private let tunnel: ConnectorConfiguration.Tunnel
    private let now: @Sendable () -> Date
    private let state = Mutex(State())

    private struct State {
        var failure: CallError?
        var accepted: Accepted?
    }

    /// A certificate that counts.
    struct Accepted: Sendable {
        let certificate: NIOSSLCertificate
        let parsed: Certificate
        let identity: RuntimeIdentity
    }

    init(authority: Certificate, tunnel: ConnectorConfiguration.Tunnel, now: @escaping @Sendable () -> Date) {
        self.authority = authority
        self.tunnel = tunnel
        self.now = now
    }

    /// Why the certificate was refused; `nil` where it was not, or none came.
    var refusal: CallError? { state.withLock { $0.failure } }

    /// The handler of one connection. No handshake is completed without a certificate that counts.
    func handler(_ context: NIOSSLContext) -> NIOSSLServerHandler {
        NIOSSLServerHandler(
            context: context,
            customVerificationCallback: { [self] chain, promise in
                do throws(CallError) {
                    _ = try check(chain.first)
                    promise.succeed(.certificateVerified)
                } catch {
                    state.withLock { $0.failure = error }
                    promise.succeed(.failed)
                }
            }, configuration: .init())
    }

    /// Who holds the certificate. Asked again when the handshake is done: a resumed session brings its certificate along without the callback.
    func check(_ certificate: NIOSSLCertificate?) throws(CallError) -> Accepted {
        guard let certificate else { throw .noCertificate }
        if let known = state.withLock({ $0.accepted }), known.certificate == certificate { return known }
        let parsed: Certificate
        do { parsed = try Certificate(derEncoded: certificate.toDERBytes()) } catch { throw .handshake("the client certificate cannot be read") }
        do throws(RuntimeCertificateError) {
            let identity = try RuntimeCertificate.verify(
                parsed, authority: authority, now: now(), tunnelID: tunnel.id, workspaceID: tunnel.workspaceID)
            let accepted = Accepted(certificate: certificate, parsed: parsed, identity: identity)
            state.withLock { $0.accepted = accepted }
            return accepted
        } catch {
            throw .certificate(error)
        }
    }
}
