import Crypto
import FoundationEssentials
import NIOSSL
import PosternPolicy
import SwiftASN1
import Synchronization
import X509

/// The certificate authority of one session. Only that session's sandbox trusts it; its key is made in the proxy process, is in its memory
/// only, and dies with it.
final class SessionAuthority: Sendable {
    /// More hosts than this push the least recently made contexts out.
    private static let mostContexts = 256
    private static let lifetime: TimeInterval = 30 * 24 * 3600

    /// PEM, for the sandbox.
    let certificate: String

    private let authority: Certificate
    private let authorityKey: P256.Signing.PrivateKey
    private let leafKey: P256.Signing.PrivateKey
    private let leafPrivateKey: NIOSSLPrivateKey
    private let contexts = Mutex<(byHost: [CanonicalHost: NIOSSLContext], order: [CanonicalHost])>(([:], []))

    init() throws {
        authorityKey = P256.Signing.PrivateKey()
        leafKey = P256.Signing.PrivateKey()
        leafPrivateKey = try NIOSSLPrivateKey(bytes: Array(leafKey.derRepresentation), format: .der)
        let key = Certificate.PrivateKey(authorityKey)
        let name = try DistinguishedName {
            OrganizationName("Postern")
            CommonName("Egress proxy of one session")
        }
        let now = Date()
        authority = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: now - 3600, notValidAfter: now + Self.lifetime,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(hash: key.publicKey)
            }, issuerPrivateKey: key)
        certificate = try authority.serializeAsPEM().pemString
    }

    /// What the proxy presents as `host`: a certificate for that host alone. ALPN chooses HTTP/1.1.
    func context(for host: CanonicalHost) throws -> NIOSSLContext {
        if let known = contexts.withLock({ $0.byHost[host] }) { return known }
        var serializer = DER.Serializer()
        try serializer.serialize(try leaf(for: host))
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der))],
            privateKey: .privateKey(leafPrivateKey))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        let context = try NIOSSLContext(configuration: configuration)
        contexts.withLock { contexts in
            guard contexts.byHost.updateValue(context, forKey: host) == nil else { return }
            contexts.order.append(host)
            if contexts.order.count > Self.mostContexts { contexts.byHost[contexts.order.removeFirst()] = nil }
        }
        return context
    }

    private func leaf(for host: CanonicalHost) throws -> Certificate {
        let name: GeneralName =
            switch host {
            case .name(let name): .dnsName(name)
            case .address(let address): .ipAddress(ASN1OctetString(contentBytes: address.bytes[...]))
            }
        let key = Certificate.PrivateKey(leafKey)
        // A common name has at most 64 characters (RFC 5280, upper bounds); nobody reads it where a subject alternative name is.
        let subject = try DistinguishedName { CommonName(String(host.description.prefix(64))) }
        let issuer = SubjectKeyIdentifier(hash: Certificate.PrivateKey(authorityKey).publicKey)
        let now = Date()
        return try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: now - 3600, notValidAfter: now + Self.lifetime - 3600,
            issuer: authority.subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames([name])
                SubjectKeyIdentifier(hash: key.publicKey)
                AuthorityKeyIdentifier(keyIdentifier: issuer.keyIdentifier)
            }, issuerPrivateKey: Certificate.PrivateKey(authorityKey))
    }
}
