import Crypto
import Foundation
import NIOSSL
import PosternConnector
import PosternTunnelWire
import SwiftASN1
import X509

/// Certificates that look right and are not, each made once for a stage, as TLS of a server that shows them.
struct Forgery: Sendable {
    /// An authority of the edge's own.
    let own: NIOSSLContext
    /// One that bears the registered authority's name and key identifier.
    let namesake: NIOSSLContext
    /// For the right name, by an authority of the kind that machines trust.
    let byPublic: NIOSSLContext
    let publicAuthority: String
    /// By the registered authority of another tunnel, for this tunnel's names.
    let byForeignTunnel: NIOSSLContext
    let foreignAuthority: String
    /// By the registered authority, for another tunnel's names.
    let otherName: NIOSSLContext
    /// By the key of the connector's server certificate, which is no authority.
    let throughLeaf: NIOSSLContext
    /// By the authority of the workspace's runtimes.
    let byRuntimeAuthority: NIOSSLContext
    /// Keys that were stolen, with certificates that do not count any more, or yet.
    let expired: NIOSSLContext
    let notYetValid: NIOSSLContext
    /// The connector's own certificate and key, with TLS 1.2 and nothing newer, and without HTTP/1.1.
    let oldTLS: NIOSSLContext
    let otherProtocol: NIOSSLContext

    init(_ world: TunnelWorld) throws {
        let (domain, now) = (TunnelWorld.domain, Date())
        let registered = world.tunnelAuthority
        own = try Self.context(try Self.server(try ConnectorCertificates.authority(domain: domain, now: now)))
        namesake = try Self.context(try Self.server(try Self.authority(like: registered)))
        let world1 = try ConnectorCertificates.authority(domain: "example.com", now: now)
        publicAuthority = world1.certificatePEM
        byPublic = try Self.context(try Self.server(world1))
        let foreign = try ConnectorCertificates.authority(domain: "tunnel.example.com", now: now)
        foreignAuthority = foreign.certificatePEM
        byForeignTunnel = try Self.context(try Self.server(foreign))
        otherName = try Self.context(try Self.server(registered, for: "zz99zz99.tunnel.example.com"))
        throughLeaf = try Self.context(try Self.server(world.serverCertificate, keyIdentifierOf: registered))
        let runtimes = world.runtimeAuthority
        byRuntimeAuthority = try Self.context(
            try Self.server(.init(keyPEM: runtimes.key.pemRepresentation, certificatePEM: try runtimes.certificatePEM)))
        expired = try Self.context(try ConnectorCertificates.server(domain: domain, authority: registered, now: now - 100 * 24 * 3600))
        notYetValid = try Self.context(try ConnectorCertificates.server(domain: domain, authority: registered, now: now + Self.early))
        oldTLS = try Self.context(world.serverCertificate) { $0.maximumTLSVersion = .tlsv12 }
        otherProtocol = try Self.context(world.serverCertificate) { $0.applicationProtocols = [] }
    }

    /// Seconds until an hour after the certificate that is not valid yet begins.
    static let early: TimeInterval = 10 * 3600

    private static func server(_ authority: ConnectorCertificates.Made, for domain: String = TunnelWorld.domain) throws -> ConnectorCertificates.Made
    {
        try ConnectorCertificates.server(domain: domain, authority: authority, now: Date())
    }

    /// Signed by `issuer`, with the key identifier of another authority.
    private static func server(_ issuer: ConnectorCertificates.Made, keyIdentifierOf authority: ConnectorCertificates.Made) throws
        -> ConnectorCertificates.Made
    {
        let identifier = try Certificate(pemEncoded: authority.certificatePEM).extensions.subjectKeyIdentifier
        let key = P256.Signing.PrivateKey()
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: Date() - 60, notValidAfter: Date() + 3600,
            issuer: try Certificate(pemEncoded: authority.certificatePEM).subject, subject: try DistinguishedName { CommonName("leaf of a leaf") },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames([.dnsName("*.\(TunnelWorld.domain)")])
                AuthorityKeyIdentifier(keyIdentifier: identifier?.keyIdentifier ?? [])
            }, issuerPrivateKey: try .init(pemEncoded: issuer.keyPEM))
        return .init(keyPEM: key.pemRepresentation, certificatePEM: try certificate.serializeAsPEM().pemString)
    }

    private static func authority(like other: ConnectorCertificates.Made) throws -> ConnectorCertificates.Made {
        let other = try Certificate(pemEncoded: other.certificatePEM)
        let key = P256.Signing.PrivateKey()
        let identifier = try other.extensions.subjectKeyIdentifier
        let certificate = try Certificate(
            version: .v3, serialNumber: other.serialNumber, publicKey: .init(key.publicKey), notValidBefore: other.notValidBefore,
            notValidAfter: other.notValidAfter, issuer: other.issuer, subject: other.subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(keyIdentifier: identifier?.keyIdentifier ?? [])
            }, issuerPrivateKey: .init(key))
        return .init(keyPEM: key.pemRepresentation, certificatePEM: try certificate.serializeAsPEM().pemString)
    }

    static func context(_ made: ConnectorCertificates.Made, _ change: (inout TLSConfiguration) -> Void = { _ in }) throws -> NIOSSLContext {
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(made.certificatePEM.utf8)).map { .certificate($0) },
            privateKey: .privateKey(try .init(bytes: Array(made.keyPEM.utf8), format: .pem)))
        tls.applicationProtocols = ["http/1.1"]
        change(&tls)
        return try NIOSSLContext(configuration: tls)
    }
}
