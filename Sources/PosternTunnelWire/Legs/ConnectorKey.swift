import Crypto
import X509

/// The key that a connector proves on each leg: ECDSA on P-256, known by the SHA-256 of its SubjectPublicKeyInfo (RFC 5280, section 4.1).
package struct ConnectorKey: Hashable, Sendable {
    /// SubjectPublicKeyInfo in DER.
    package let der: [UInt8]

    package init(_ key: P256.Signing.PublicKey) { der = Array(key.derRepresentation) }

    /// The key of a certificate; `nil` where it is not on P-256. Nothing else of the certificate is looked at.
    package init?(certificate: Certificate) {
        guard let key = P256.Signing.PublicKey(certificate.publicKey) else { return nil }
        self.init(key)
    }

    /// Lower-case hex.
    package var fingerprint: String { Hexadecimal.text(SHA256.hash(data: der)) }
}
