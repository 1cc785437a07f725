import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// The client certificate of a runtime: issuing, and what a connector checks before the first byte of HTTP.
package enum RuntimeCertificate {
    /// In seconds. A certificate that is valid for longer is neither issued nor accepted.
    package static let longestLife: TimeInterval = 24 * 3600 + 2 * clockSkew
    /// In seconds: how far before now a certificate's validity should begin, for a connector whose clock is behind.
    package static let clockSkew: TimeInterval = 300

    /// A certificate that says `identity` of the holder of `publicKey`: for clients only, no authority, signed with ECDSA and SHA-256.
    package static func issue(
        _ identity: RuntimeIdentity, publicKey: P256.Signing.PublicKey, authority: Certificate, authorityKey: P256.Signing.PrivateKey,
        notBefore: Date, notAfter: Date
    ) throws -> Certificate {
        guard notBefore < notAfter, notAfter.timeIntervalSince(notBefore) <= longestLife else { throw RuntimeCertificateError.tooLongLived }
        guard let issuerKey = try authority.extensions.subjectKeyIdentifier else { throw RuntimeCertificateError.notAnAuthority }
        let key = Certificate.PublicKey(publicKey)
        let uris = try identity.uris
        return try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key, notValidBefore: notBefore, notValidAfter: notAfter, issuer: authority.subject,
            subject: try DistinguishedName { CommonName(String("Runtime of \(identity.tunnelID)".prefix(64))) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.clientAuth])
                SubjectAlternativeNames(uris.map { .uniformResourceIdentifier($0) })
                SubjectKeyIdentifier(hash: key)
                AuthorityKeyIdentifier(keyIdentifier: issuerKey.keyIdentifier)
            }, issuerPrivateKey: .init(authorityKey))
    }

    /// The key of a certificate signing request (PKCS #10) whose holder has signed it. Nothing else of the request counts.
    package static func publicKey(ofRequest pem: String) throws(RuntimeCertificateError) -> P256.Signing.PublicKey {
        guard pem.utf8.count <= longestRequest else { throw .unreadableRequest }
        let request: CertificateSigningRequest
        do { request = try CertificateSigningRequest(pemEncoded: pem) } catch { throw .unreadableRequest }
        guard let key = P256.Signing.PublicKey(request.publicKey) else { throw .weakKey }
        guard request.publicKey.isValidSignature(request.signature, for: request) else { throw .requestNotSigned }
        return key
    }

    /// In bytes of PEM.
    package static let longestRequest = 8192

    /// Who holds the certificate, if the workspace's authority signed it for that tunnel and it counts now.
    package static func verify(
        _ leaf: Certificate, authority: Certificate, now: Date, tunnelID: String, workspaceID: String
    ) throws(RuntimeCertificateError) -> RuntimeIdentity {
        try checkSignature(leaf, by: authority, now: now)
        guard leaf.notValidBefore <= now else { throw .notYetValid }
        guard now < leaf.notValidAfter else { throw .expired }
        guard leaf.notValidAfter.timeIntervalSince(leaf.notValidBefore) <= longestLife else { throw .tooLongLived }
        guard P256.Signing.PublicKey(leaf.publicKey) != nil else { throw .weakKey }
        try checkUse(leaf)
        let identity: RuntimeIdentity
        do { identity = try RuntimeIdentity(certificate: leaf) } catch { throw .identity(error) }
        guard identity.workspaceID == workspaceID else { throw .otherWorkspace(identity.workspaceID) }
        guard identity.tunnelID == tunnelID else { throw .otherTunnel(identity.tunnelID) }
        return identity
    }

    private static func checkSignature(_ leaf: Certificate, by authority: Certificate, now: Date) throws(RuntimeCertificateError) {
        do {
            guard case .isCertificateAuthority? = try authority.extensions.basicConstraints,
                try authority.extensions.keyUsage?.keyCertSign == true, let issuer = try authority.extensions.subjectKeyIdentifier
            else { throw RuntimeCertificateError.notAnAuthority }
            guard leaf.issuer == authority.subject, try leaf.extensions.authorityKeyIdentifier?.keyIdentifier == issuer.keyIdentifier
            else { throw RuntimeCertificateError.otherAuthority }
        } catch let error as RuntimeCertificateError {
            throw error
        } catch {
            throw .unreadableExtension
        }
        guard authority.notValidBefore <= now, now < authority.notValidAfter else { throw .authorityNotValid }
        switch leaf.signatureAlgorithm {
        case .ecdsaWithSHA256, .ecdsaWithSHA384, .ecdsaWithSHA512: break
        default: throw .weakSignature
        }
        guard authority.publicKey.isValidSignature(leaf.signature, for: leaf) else { throw .notSigned }
    }

    /// A leaf, for TLS clients and nothing else, with no critical extension that nobody here reads (RFC 5280, section 4.2).
    private static func checkUse(_ leaf: Certificate) throws(RuntimeCertificateError) {
        do {
            if case .isCertificateAuthority? = try leaf.extensions.basicConstraints { throw RuntimeCertificateError.isAuthority }
            guard let usage = try leaf.extensions.keyUsage, usage.digitalSignature, !usage.keyCertSign, !usage.cRLSign
            else { throw RuntimeCertificateError.wrongUse }
            guard let purposes = try leaf.extensions.extendedKeyUsage, purposes.count == 1, purposes.first == .clientAuth
            else { throw RuntimeCertificateError.wrongUse }
        } catch let error as RuntimeCertificateError {
            throw error
        } catch {
            throw .unreadableExtension
        }
        let known: Set<ASN1ObjectIdentifier> = [
            .X509ExtensionID.basicConstraints, .X509ExtensionID.keyUsage, .X509ExtensionID.extendedKeyUsage,
            .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.authorityKeyIdentifier, .X509ExtensionID.subjectKeyIdentifier,
        ]
        for item in leaf.extensions where item.critical && !known.contains(item.oid) { throw .unknownCriticalExtension(String(describing: item.oid)) }
    }
}

/// Why a runtime certificate is not issued or not accepted.
package enum RuntimeCertificateError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The authority's certificate may not sign certificates, or has no subject key identifier.
    case notAnAuthority
    case authorityNotValid
    /// The certificate names another authority as its issuer.
    case otherAuthority
    /// The certificate names this authority, which did not sign it.
    case notSigned
    case weakSignature
    case weakKey
    case notYetValid
    case expired
    case tooLongLived
    case isAuthority
    case wrongUse
    case unreadableExtension
    case unknownCriticalExtension(String)
    case identity(RuntimeIdentityError)
    case otherWorkspace(String)
    case otherTunnel(String)
    case unreadableRequest
    case requestNotSigned

    package var description: String {
        switch self {
        case .notAnAuthority: "the authority's certificate is not one that may sign: it needs CA:TRUE, keyCertSign and a subject key identifier"
        case .authorityNotValid: "the authority's certificate is not valid now; fetch the workspace's runtime authority again"
        case .otherAuthority: "the certificate was issued by another authority than the workspace's"
        case .notSigned: "the certificate's signature is not the authority's"
        case .weakSignature: "the certificate is not signed with ECDSA and SHA-256 or better"
        case .weakKey: "the key is not an ECDSA key on P-256"
        case .notYetValid: "the certificate is not valid yet; compare the clocks"
        case .expired: "the certificate has expired; ask for a new one"
        case .tooLongLived: "the certificate is valid for more than 24 hours, or ends before it begins"
        case .isAuthority: "the certificate is an authority's, not a runtime's"
        case .wrongUse: "the certificate is not for TLS clients alone: it needs digitalSignature and the one purpose clientAuth"
        case .unreadableExtension: "an extension of the certificate cannot be read"
        case .unknownCriticalExtension(let oid): "the certificate has the critical extension \(oid), which is not known here"
        case .identity(let error): error.description
        case .otherWorkspace(let id): "the certificate is for the workspace \(id.prefix(80)), not this one"
        case .otherTunnel(let id): "the certificate is for the tunnel \(id.prefix(80)), not this one"
        case .unreadableRequest: "the certificate signing request is not one PKCS #10 request in PEM of at most 8192 bytes"
        case .requestNotSigned: "the certificate signing request is not signed by its own key"
        }
    }
}
