import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A certificate authority that keeps the rules: it may be registered for a tunnel and signs the connector's certificates directly.
package struct TunnelAuthority: Sendable, Hashable {
    package let certificate: Certificate
    /// Lowercase hexadecimal SHA-256 of the certificate's DER.
    package let fingerprint: String
    package let keyIdentifier: [UInt8]
    package var expiresAt: Date { certificate.notValidAfter }

    package static func == (left: TunnelAuthority, right: TunnelAuthority) -> Bool { left.fingerprint == right.fingerprint }
    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}

/// The rules for certificates that are registered as a tunnel's authority.
package enum AuthorityRules {
    /// Of the PEM text, in bytes.
    package static let maximumSize = 8192

    /// The authority in `pem`: exactly one certificate and nothing else, which keeps every rule at the time `now`.
    package static func check(pem: String, now: Date) throws(CertificateRuleError) -> TunnelAuthority {
        let der = try onlyCertificate(in: pem)
        let certificate: Certificate
        do { certificate = try Certificate(derEncoded: der) } catch { throw CertificateFloors.weakness(ofKeyIn: der) ?? .unreadable }
        try CertificateFloors.check(certificate, known: known)
        try CertificateFloors.checkValidity(certificate, now: now)
        try checkAuthority(certificate)
        return TunnelAuthority(
            certificate: certificate, fingerprint: Hexadecimal.text(SHA256.hash(data: der)), keyIdentifier: try keyIdentifier(of: certificate))
    }

    /// The DER of the one certificate in `pem`: what can be said of a file before it is sent anywhere, above all that no key is in it.
    @discardableResult
    package static func onlyCertificate(in pem: String) throws(CertificateRuleError) -> [UInt8] {
        guard pem.utf8.count <= maximumSize else { throw .tooLarge }
        return try PEMFile.onlyCertificate(of: pem)
    }

    private static func checkAuthority(_ certificate: Certificate) throws(CertificateRuleError) {
        guard let item = certificate.extensions[oid: .X509ExtensionID.basicConstraints] else { throw .noBasicConstraints }
        guard item.critical else { throw .basicConstraintsNotCritical }
        do {
            guard case .isCertificateAuthority = try BasicConstraints(item) else { throw CertificateRuleError.notAnAuthority }
        } catch let error as CertificateRuleError { throw error } catch { throw .unreadableExtension("basic constraints") }
        let usage: KeyUsage?
        do { usage = try certificate.extensions.keyUsage } catch { throw .unreadableExtension("key usage") }
        guard usage?.keyCertSign == true else { throw .noCertificateSigning }
    }

    private static func keyIdentifier(of certificate: Certificate) throws(CertificateRuleError) -> [UInt8] {
        let identifier: SubjectKeyIdentifier?
        do { identifier = try certificate.extensions.subjectKeyIdentifier } catch { throw .unreadableExtension("subject key identifier") }
        guard let identifier, !identifier.keyIdentifier.isEmpty else { throw .noSubjectKeyIdentifier }
        return Array(identifier.keyIdentifier)
    }

    private static let known: Set<ASN1ObjectIdentifier> = [
        .X509ExtensionID.basicConstraints, .X509ExtensionID.keyUsage, .X509ExtensionID.subjectKeyIdentifier,
        .X509ExtensionID.authorityKeyIdentifier, .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.extendedKeyUsage,
        .X509ExtensionID.nameConstraints,
    ]
}

/// Bytes as lowercase hexadecimal text.
package enum Hexadecimal {
    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}
