import Crypto
import SwiftASN1
import X509

/// The key of a server certificate, and the request by which an authority of the customer's own makes the certificate. Prints no key.
package struct ServerSigningRequest: Sendable, CustomStringConvertible, CustomReflectable {
    /// PKCS #8 in PEM. To be written to a file of mode 0600.
    package let keyPEM: String
    /// PKCS #10 in PEM: asks for `*.domain`, for servers.
    package let pem: String

    /// - Parameter keyPEM: the key of an earlier request, which is asked for again; `nil` makes one on P-256.
    package init(domain: String, keyPEM: String? = nil) throws {
        let key: P256.Signing.PrivateKey
        if let keyPEM {
            guard let known = try? P256.Signing.PrivateKey(pemRepresentation: keyPEM) else {
                throw ConnectorError("the key of the earlier request is no private key on P-256 in PEM: remove it, and a new one is made")
            }
            key = known
        } else {
            key = P256.Signing.PrivateKey()
        }
        self.keyPEM = key.pemRepresentation
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            try ExtendedKeyUsage([.serverAuth])
            SubjectAlternativeNames([.dnsName("*.\(domain)")])
        }
        pem = try CertificateSigningRequest(
            version: .v1, subject: try DistinguishedName { CommonName("Postern connector") }, privateKey: .init(key),
            attributes: try .init([.init(ExtensionRequest(extensions: extensions))]), signatureAlgorithm: .ecdsaWithSHA256
        ).serializeAsPEM().pemString
    }

    package var description: String { "ServerSigningRequest" }
    package var customMirror: Mirror { Mirror(self, children: ["pem": pem]) }
}
