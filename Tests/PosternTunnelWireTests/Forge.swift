import Crypto
import Foundation
import SwiftASN1
import X509

/// Makes certificates with one thing wrong: every part can be chosen, and what is not chosen is right.
struct Forge {
    var now = Date(timeIntervalSince1970: 1_800_000_000)

    /// An authority that signs: its name, key and certificate.
    struct Signer {
        var name: DistinguishedName
        var key: Certificate.PrivateKey
        var certificate: Certificate
        var keyIdentifier: ArraySlice<UInt8> { SubjectKeyIdentifier(hash: key.publicKey).keyIdentifier }
    }

    /// A self-signed authority. `extensions` replaces those of a proper one.
    func authority(
        _ commonName: String = "a private authority", key: Certificate.PrivateKey = .init(P256.Signing.PrivateKey()),
        algorithm: Certificate.SignatureAlgorithm? = nil, from: TimeInterval = -3_600, until: TimeInterval = 86_400,
        extensions: [Certificate.Extension]? = nil
    ) throws -> Signer {
        let name = try DistinguishedName { CommonName(commonName) }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: now + from, notValidAfter: now + until, issuer: name,
            subject: name, signatureAlgorithm: algorithm ?? .ecdsaWithSHA256,
            extensions: try .init(try extensions ?? authorityExtensions(key.publicKey)), issuerPrivateKey: key)
        return Signer(name: name, key: key, certificate: certificate)
    }

    func authorityExtensions(_ key: Certificate.PublicKey) throws -> [Certificate.Extension] {
        [
            try .init(BasicConstraints.isCertificateAuthority(maxPathLength: nil), critical: true),
            try .init(KeyUsage(keyCertSign: true), critical: true),
            try .init(SubjectKeyIdentifier(hash: key), critical: false),
        ]
    }

    /// A certificate that `signer` signs, with exactly these extensions.
    func leaf(
        by signer: Signer, key: Certificate.PublicKey = .init(P256.Signing.PrivateKey().publicKey), issuer: DistinguishedName? = nil,
        algorithm: Certificate.SignatureAlgorithm = .ecdsaWithSHA256, from: TimeInterval = -300, until: TimeInterval = 3_600,
        extensions: [Certificate.Extension]
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key, notValidBefore: now + from, notValidAfter: now + until,
            issuer: issuer ?? signer.name, subject: try DistinguishedName { CommonName("a leaf") }, signatureAlgorithm: algorithm,
            extensions: try .init(extensions), issuerPrivateKey: signer.key)
    }

    static func authorityKey(_ identifier: ArraySlice<UInt8>) throws -> Certificate.Extension {
        try .init(AuthorityKeyIdentifier(keyIdentifier: identifier), critical: false)
    }

    /// An extension that nobody knows.
    static func unknown(critical: Bool) -> Certificate.Extension { .init(oid: [1, 3, 6, 1, 4, 1, 99_999, 1], critical: critical, value: [5, 0]) }

    /// The certificate with one bit of one byte turned over, for each byte, where that can still be read.
    static func mangled(_ certificate: Certificate) throws -> [Certificate] {
        let der = try PEMDocument(pemString: try pem(certificate)).derBytes
        return der.indices.compactMap { place in
            var mangled = der
            mangled[place] ^= [1, 0x20, 0x80][place % 3]
            return try? Certificate(derEncoded: mangled)
        }
    }

    static func pem(_ certificate: Certificate) throws -> String { try certificate.serializeAsPEM().pemString }
}
