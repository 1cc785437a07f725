import Crypto
import SwiftASN1
import X509

/// A fresh key of a runtime and the certificate signing request for it. The key stays where it was made. Prints no key.
package struct RuntimeRequest: Sendable, CustomStringConvertible, CustomReflectable {
    /// PKCS #8 in PEM. A secret.
    package let keyPEM: String
    /// PKCS #10 in PEM, signed by the key. Its name says nothing: whoever signs takes only the key.
    package let pem: String

    package init() throws {
        let key = P256.Signing.PrivateKey()
        keyPEM = key.pemRepresentation
        pem = try CertificateSigningRequest(
            version: .v1, subject: try DistinguishedName { CommonName("runtime") }, privateKey: .init(key), attributes: .init(),
            signatureAlgorithm: .ecdsaWithSHA256
        ).serializeAsPEM().pemString
    }

    package var description: String { "RuntimeRequest" }
    package var customMirror: Mirror { Mirror(self, children: ["pem": pem]) }
}
