import Crypto
import Foundation
import ManagedAgentsClient
import NIOSSL
import PosternMCP
import PosternTunnelWire
import SwiftASN1
import X509

/// Keys and certificates for a tunnel, with one thing wrong where a test wants it.
struct TunnelForge {
    static let domain = "ab12cd34.tunnel.example.com"
    static let edgeName = "tunnel.example.com"
    static let host = "docs.\(domain)"

    struct Signer {
        let name: DistinguishedName
        let key: P256.Signing.PrivateKey
        let certificate: Certificate
        var pem: String { get throws { try certificate.serializeAsPEM().pemString } }
    }

    struct Leaf {
        let key: P256.Signing.PrivateKey
        let certificate: Certificate
        /// What is sent behind it.
        var chain: [Certificate] = []

        var pem: String { get throws { try certificate.serializeAsPEM().pemString } }

        /// A server's TLS with it.
        func configuration(_ change: (inout TLSConfiguration) -> Void = { _ in }) throws -> TLSConfiguration {
            let certificates = try ([certificate] + chain).map { try NIOSSLCertificate(bytes: $0.serializeAsPEM().derBytes, format: .der) }
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: certificates.map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)))
            tls.minimumTLSVersion = .tlsv13
            tls.applicationProtocols = ["http/1.1"]
            change(&tls)
            return tls
        }
    }

    let now = Date()

    func authority(_ commonName: String = "tunnel", key: P256.Signing.PrivateKey = .init(), identifier: ArraySlice<UInt8>? = nil) throws -> Signer {
        let name = try DistinguishedName { CommonName(commonName) }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - 3600, notValidAfter: now + 3600, issuer: name,
            subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(keyIdentifier: identifier ?? SubjectKeyIdentifier(hash: .init(key.publicKey)).keyIdentifier)
            }, issuerPrivateKey: .init(key))
        return Signer(name: name, key: key, certificate: certificate)
    }

    /// An authority below `signer`.
    func intermediate(_ signer: Signer) throws -> Signer {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("intermediate") }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now - 3600, notValidAfter: now + 3600,
            issuer: signer.name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(hash: .init(key.publicKey))
                AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: .init(signer.key.publicKey)).keyIdentifier)
            }, issuerPrivateKey: .init(signer.key))
        return Signer(name: name, key: key, certificate: certificate)
    }

    enum Flaw: Sendable, CaseIterable {
        case none, otherName, noName, noKeyIdentifier, otherKeyIdentifier, otherSigner, expired, notYetValid, forClients
    }

    /// - Parameter claiming: the key identifier of the authority that it names, in place of the one that signs.
    func server(
        _ signer: Signer, _ flaw: Flaw = .none, names: [String] = ["*.\(domain)"], claiming: ArraySlice<UInt8>? = nil
    ) throws -> Leaf {
        let key = P256.Signing.PrivateKey()
        let known = claiming ?? SubjectKeyIdentifier(hash: .init(signer.key.publicKey)).keyIdentifier
        var extensions: [Certificate.Extension] = [try .init(BasicConstraints.notCertificateAuthority, critical: true)]
        if flaw != .noName {
            let written = flaw == .otherName ? ["docs.zz99zz99.tunnel.example.com"] : names
            extensions.append(try .init(SubjectAlternativeNames(written.map { .dnsName($0) }), critical: false))
        }
        if flaw != .noKeyIdentifier {
            extensions.append(try .init(AuthorityKeyIdentifier(keyIdentifier: flaw == .otherKeyIdentifier ? [1, 2, 3] : known), critical: false))
        }
        if flaw == .forClients { extensions.append(try .init(ExtendedKeyUsage([.clientAuth]), critical: false)) }
        let (from, until): (TimeInterval, TimeInterval) =
            switch flaw {
            case .expired: (-600, -60)
            case .notYetValid: (60, 600)
            default: (-600, 600)
            }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: now + from, notValidAfter: now + until,
            issuer: signer.name, subject: try DistinguishedName { CommonName("server") }, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try .init(extensions), issuerPrivateKey: flaw == .otherSigner ? .init(P256.Signing.PrivateKey()) : .init(signer.key))
        return Leaf(key: key, certificate: certificate)
    }

    /// What a caller has: a runtime certificate, and the authorities that it believes.
    func credentials(_ authorities: [Signer], until: TimeInterval = 600, apiKey: String? = nil) throws -> TunnelCredentials {
        let runtime = try RuntimeAuthority.make(workspaceID: "wrkspc_1", notBefore: now - 3600, notAfter: now + 7200)
        let key = P256.Signing.PrivateKey()
        let certificate = try RuntimeCertificate.issue(
            RuntimeIdentity(tunnelID: "tnl_1", workspaceID: "wrkspc_1", client: "test"), publicKey: key.publicKey, authority: runtime.certificate,
            authorityKey: runtime.key, notBefore: now - 60, notAfter: now + until)
        return try TunnelCredentials(
            certificate: try certificate.serializeAsPEM().pemString, key: key.pemRepresentation,
            authorities: try authorities.map { try $0.pem }.joined(separator: "\n"), apiKey: apiKey.map { Secret($0) }, now: now)
    }
}
