import Crypto
import FoundationEssentials
import PosternTunnelWire
import SwiftASN1
import X509

/// The keys and certificates that a connector's setup makes, all on P-256. What is secret never leaves the machine that calls this.
package enum ConnectorCertificates {
    package struct Made: Sendable {
        /// To be written to a file of mode 0600.
        package let keyPEM: String
        package let certificatePEM: String

        package init(keyPEM: String, certificatePEM: String) {
            self.keyPEM = keyPEM
            self.certificatePEM = certificatePEM
        }
    }

    /// In seconds.
    package static let authorityLife: TimeInterval = 5 * 365 * 24 * 3600
    package static let serverLife: TimeInterval = 90 * 24 * 3600
    package static let renewBefore: TimeInterval = 30 * 24 * 3600
    private static let skew: TimeInterval = 3600

    /// The connector's own key, with a certificate that it signs itself: edges look at the key alone.
    package static func connector(now: Date) throws -> Made {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("Postern connector") }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - skew, notValidAfter: now + 10 * authorityLife,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.clientAuth])
            }, issuerPrivateKey: .init(key))
        return Made(keyPEM: key.pemRepresentation, certificatePEM: try certificate.serializeAsPEM().pemString)
    }

    /// The tunnel's certificate authority: callers trust it, and only the customer has its key.
    package static func authority(domain: String, now: Date) throws -> Made {
        let key = P256.Signing.PrivateKey()
        let signer = Certificate.PrivateKey(key)
        let name = try DistinguishedName {
            OrganizationName("Postern tunnel")
            // RFC 5280, appendix A.1: at most 64 characters.
            CommonName(String("CA of \(domain)".prefix(64)))
        }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: signer.publicKey, notValidBefore: now - skew, notValidAfter: now + authorityLife,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(hash: signer.publicKey)
                // Callers may have to trust it beside public authorities: it answers for the tunnel's names and for nothing else.
                Critical(
                    NameConstraints(
                        permittedDNSDomains: [domain],
                        excludedIPRanges: [4, 16].map { ASN1OctetString(contentBytes: ArraySlice(repeating: 0, count: 2 * $0)) }))
            }, issuerPrivateKey: signer)
        return Made(keyPEM: key.pemRepresentation, certificatePEM: try certificate.serializeAsPEM().pemString)
    }

    /// What the connector answers with for every route: `*.domain`, signed directly by the tunnel's authority.
    package static func server(domain: String, authority: Made, now: Date) throws -> Made {
        let issuer = try Certificate(pemEncoded: authority.certificatePEM)
        guard let issuerKey = try issuer.extensions.subjectKeyIdentifier else {
            throw ConnectorError("the tunnel's CA has no subject key identifier")
        }
        let key = P256.Signing.PrivateKey()
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - skew,
            notValidAfter: min(now + serverLife, issuer.notValidAfter), issuer: issuer.subject,
            subject: try DistinguishedName { CommonName("Postern connector") }, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames([.dnsName("*.\(domain)")])
                SubjectKeyIdentifier(hash: Certificate.PublicKey(key.publicKey))
                AuthorityKeyIdentifier(keyIdentifier: issuerKey.keyIdentifier)
            }, issuerPrivateKey: try .init(pemEncoded: authority.keyPEM))
        return Made(keyPEM: key.pemRepresentation, certificatePEM: try certificate.serializeAsPEM().pemString)
    }

    /// Lower-case hex of SHA-256 of a certificate's DER, as the API names it.
    package static func fingerprint(certificatePEM: String) throws -> String {
        Hexadecimal.text(SHA256.hash(data: try AuthorityRules.onlyCertificate(in: certificatePEM)))
    }
}
