import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// What holds for every certificate of a tunnel, an authority's and a server's: floors of key and signature, and critical extensions.
enum CertificateFloors {
    /// In bits.
    static let leastRSA = 2048

    static func check(_ certificate: Certificate, known: Set<ASN1ObjectIdentifier>) throws(CertificateRuleError) {
        guard certificate.version == .v3 else { throw .notVersion3 }
        guard allowedSignatures.contains(certificate.signatureAlgorithm) else { throw .weakSignature("\(certificate.signatureAlgorithm)") }
        // A certificate that was read has an RSA key of at least 2048 bits, a curve of NIST or Ed25519.
        if Curve25519.Signing.PublicKey(certificate.publicKey) != nil { throw .weakKey("Ed25519") }
        // RFC 5280, section 4.2: what is critical and not understood is refused.
        for item in certificate.extensions where item.critical && !known.contains(item.oid) { throw .unknownCriticalExtension("\(item.oid)") }
    }

    static func checkValidity(_ certificate: Certificate, now: Date) throws(CertificateRuleError) {
        guard certificate.notValidBefore <= now else { throw .notYetValid }
        guard now < certificate.notValidAfter else { throw .expired }
    }

    /// Why the key of a certificate that cannot be read otherwise is refused; `nil` where it is not the key. X.509 readers do not read weak keys
    /// at all, and their owner should learn why.
    static func weakness(ofKeyIn der: [UInt8]) -> CertificateRuleError? {
        // RFC 5280, section 4.1: SEQUENCE { TBSCertificate SEQUENCE { [0] version?, serial, signature, issuer, validity, subject, SPKI … } … }
        guard let root = try? DER.parse(der), let body = children(root)?.first, var fields = children(body) else { return nil }
        if fields.first?.identifier.tagClass == .contextSpecific { fields.removeFirst() }
        guard fields.count > 5, let key = children(fields[5]), key.count == 2, let algorithm = children(key[0]), let oid = algorithm.first,
            let identifier = try? ASN1ObjectIdentifier(derEncoded: oid)
        else { return nil }
        switch identifier {
        case .AlgorithmIdentifier.rsaEncryption:
            // RFC 8017, appendix A.1.1: SEQUENCE { modulus, publicExponent }.
            guard let bits = try? ASN1BitString(derEncoded: key[1]), let numbers = (try? DER.parse(bits.bytes)).flatMap(children),
                let first = numbers.first, case .primitive(let modulus) = first.content
            else { return nil }
            let digits = modulus.drop { $0 == 0 }
            let size = digits.first.map { digits.count * 8 - $0.leadingZeroBitCount } ?? 0
            return size < leastRSA ? .weakKey("RSA with \(size) bits") : nil
        case .AlgorithmIdentifier.idEcPublicKey:
            guard algorithm.count > 1, let curve = try? ASN1ObjectIdentifier(derEncoded: algorithm[1]) else { return .weakKey("on an unnamed curve") }
            let allowed: Set<ASN1ObjectIdentifier> = [.NamedCurves.secp256r1, .NamedCurves.secp384r1, .NamedCurves.secp521r1]
            return allowed.contains(curve) ? nil : .weakKey("on the curve \(curve)")
        default: return .weakKey("of the kind \(identifier)")
        }
    }

    private static func children(_ node: ASN1Node) -> [ASN1Node]? {
        guard case .constructed(let nodes) = node.content else { return nil }
        return Array(nodes)
    }

    private static let allowedSignatures: Set<Certificate.SignatureAlgorithm> = [
        .ecdsaWithSHA256, .ecdsaWithSHA384, .ecdsaWithSHA512, .sha256WithRSAEncryption, .sha384WithRSAEncryption, .sha512WithRSAEncryption,
    ]
}
