import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// The certificate authority of one workspace that signs runtime certificates: ECDSA over P-256, and able to sign leaves only. Connectors
/// trust its certificate; its key stays in the control plane. Prints no key.
package struct RuntimeAuthority: Sendable, CustomStringConvertible, CustomReflectable {
    package let certificate: Certificate
    package let key: P256.Signing.PrivateKey

    package init(certificate: Certificate, key: P256.Signing.PrivateKey) {
        self.certificate = certificate
        self.key = key
    }

    /// A fresh authority with a key from the system's generator.
    package static func make(workspaceID: String, notBefore: Date, notAfter: Date) throws -> RuntimeAuthority {
        let key = P256.Signing.PrivateKey()
        let signer = Certificate.PrivateKey(key)
        let name = try DistinguishedName {
            OrganizationName("Postern")
            // Upper bounds of RFC 5280, appendix A.1: 64 characters.
            CommonName(String("Runtimes of \(workspaceID)".prefix(64)))
        }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: signer.publicKey, notValidBefore: notBefore, notValidAfter: notAfter, issuer: name,
            subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(hash: signer.publicKey)
            }, issuerPrivateKey: signer)
        return RuntimeAuthority(certificate: certificate, key: key)
    }

    /// What connectors pin.
    package var certificatePEM: String { get throws { try certificate.serializeAsPEM().pemString } }

    package var description: String { "RuntimeAuthority(\(certificate.subject))" }
    package var customMirror: Mirror { Mirror(self, children: ["certificate": certificate.subject]) }
}
