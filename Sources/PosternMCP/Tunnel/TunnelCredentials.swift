import Crypto
import FoundationEssentials
import ManagedAgentsClient
import NIOSSL
import PosternTunnelWire
import SwiftASN1
import X509

/// Who calls, and whom it believes: a runtime certificate with its key, the authorities that are registered for the tunnel, and an API key where an
/// edge is to be asked with one. Prints neither key.
package struct TunnelCredentials: Sendable, CustomStringConvertible, CustomReflectable {
    let certificate: NIOSSLCertificate
    let key: NIOSSLPrivateKey
    /// Lowercase hexadecimal SHA-256 of the certificate's DER.
    package let fingerprint: String
    package let notBefore: Date
    package let notAfter: Date
    package let authorities: [TunnelAuthority]
    /// What `CONNECT` is asked with; without one the certificate is shown to the edge, and no other secret leaves this side.
    package let apiKey: Secret?

    /// Why files are no credentials. Says nothing of a key.
    package struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        package var description: String
        package init(_ description: String) { self.description = description }
    }

    /// - Parameters:
    ///   - certificate: one certificate in PEM.
    ///   - authorities: one or two certificates in PEM, each of which keeps the rules for authorities of tunnels. Expired ones are left out.
    package init(certificate: String, key: String, authorities: String, apiKey: Secret? = nil, now: Date = Date()) throws(Invalid) {
        let leaf: Certificate
        let der: [UInt8]
        do {
            der = try AuthorityRules.onlyCertificate(in: certificate)
            leaf = try Certificate(derEncoded: der)
        } catch let error as CertificateRuleError {
            throw Invalid("the client certificate's file \(error)")
        } catch {
            throw Invalid("the client certificate cannot be read")
        }
        guard let held = try? Certificate.PrivateKey(pemEncoded: key) else { throw Invalid("the client certificate's key is no private key in PEM") }
        guard held.publicKey == leaf.publicKey else { throw Invalid("the key is not the client certificate's; issue a new certificate") }
        do {
            self.certificate = try NIOSSLCertificate(bytes: der, format: .der)
            self.key = try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)
        } catch {
            throw Invalid("the client certificate and its key cannot be used for TLS")
        }
        fingerprint = Hexadecimal.text(SHA256.hash(data: der))
        notBefore = leaf.notValidBefore
        notAfter = leaf.notValidAfter
        self.authorities = try Self.authorities(authorities, now)
        self.apiKey = apiKey
    }

    private static func authorities(_ text: String, _ now: Date) throws(Invalid) -> [TunnelAuthority] {
        let end = "-----END CERTIFICATE-----"
        let pieces = text.split(separator: end, omittingEmptySubsequences: false).dropLast()
        guard !pieces.isEmpty else {
            throw Invalid("no certificate authority of the tunnel is given: is one registered, and was the certificate issued after that?")
        }
        guard pieces.count <= mostAuthorities else { throw Invalid("more than \(mostAuthorities) certificate authorities of the tunnel are given") }
        var authorities: [TunnelAuthority] = []
        for (index, piece) in pieces.enumerated() {
            do throws(CertificateRuleError) {
                authorities.append(try AuthorityRules.check(pem: piece + end, now: now))
            } catch .expired {
                continue
            } catch {
                throw Invalid("certificate authority \(index + 1) of the tunnel: \(error)")
            }
        }
        guard !authorities.isEmpty else { throw Invalid("every certificate authority of the tunnel has expired; issue a new certificate") }
        return authorities
    }

    /// Whether the certificate ends within so many seconds, or has ended.
    package func isEnding(within seconds: Double, now: Date = Date()) -> Bool { notAfter.timeIntervalSince(now) < seconds }

    /// A tunnel has at most two that are not archived.
    private static let mostAuthorities = 4

    package var description: String { "TunnelCredentials(\(fingerprint.prefix(16)))" }
    package var customMirror: Mirror { Mirror(self, children: ["fingerprint": fingerprint]) }
}
