import Crypto
import Foundation
import NIOSSL
import SwiftASN1
import X509

/// A certificate authority that no system trusts.
struct PrivateAuthority {
    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName
    private let certificate: Certificate

    init(_ commonName: String) throws {
        name = try DistinguishedName { CommonName(commonName) }
        certificate = try Self.certificate(
            of: .init(key.publicKey), named: name, by: name, key,
            Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            })
    }

    var pem: String { get throws { try certificate.serializeAsPEM().pemString } }

    /// What a server needs that answers for these names.
    func server(for names: GeneralName...) throws -> NIOSSLContext {
        let own = P256.Signing.PrivateKey()
        let leaf = try Self.certificate(
            of: .init(own.publicKey), named: DistinguishedName { CommonName("a model service") }, by: name, key,
            Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames(names)
            })
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(NIOSSLCertificate(bytes: Array(leaf.serializeAsPEM().pemString.utf8), format: .pem))],
                privateKey: .privateKey(NIOSSLPrivateKey(bytes: Array(own.pemRepresentation.utf8), format: .pem))))
    }

    /// Runs `body` with a file that holds `text`.
    static func withFile<Value>(_ text: String, _ body: (_ path: String) async throws -> Value) async throws -> Value {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("postern-ca-\(UUID().uuidString).pem").path
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await body(path)
    }

    private static func certificate(
        of publicKey: Certificate.PublicKey, named subject: DistinguishedName, by issuer: DistinguishedName, _ key: P256.Signing.PrivateKey,
        _ extensions: Certificate.Extensions
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: Date(timeIntervalSinceNow: -3_600),
            notValidAfter: Date(timeIntervalSinceNow: 86_400), issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions, issuerPrivateKey: .init(key))
    }
}
