import FoundationEssentials
import SwiftASN1
import X509

/// The rules for the certificate that a connector shows in the inner TLS handshake.
package enum ServerCertificateRules {
    /// The one certificate in `pem`, with nothing beside it. Says of a key that is too weak to be read that it is weak.
    package static func leaf(in pem: String) throws(CertificateRuleError) -> Certificate {
        let der = try AuthorityRules.onlyCertificate(in: pem)
        do { return try Certificate(derEncoded: der) } catch { throw CertificateFloors.weakness(ofKeyIn: der) ?? .unreadable }
    }

    /// Which of the registered authorities vouches for `leaf` as the server `host`: it has signed the certificate itself, and the certificate
    /// keeps every rule at the time `now`.
    /// - Parameter host: The name of the route, below the tunnel's domain.
    @discardableResult
    package static func check(
        leaf: Certificate, authorities: [TunnelAuthority], host: String, now: Date
    ) throws(CertificateRuleError) -> TunnelAuthority {
        try CertificateFloors.check(leaf, known: known)
        let authority = try signer(of: leaf, among: authorities)
        do { try CertificateFloors.checkValidity(authority.certificate, now: now) } catch { throw .authorityNotValid }
        try CertificateFloors.checkValidity(leaf, now: now)
        try checkPurpose(leaf)
        try checkName(leaf, host)
        return authority
    }

    /// The authority by name, key identifier and signature: no intermediate certificate counts.
    private static func signer(of leaf: Certificate, among authorities: [TunnelAuthority]) throws(CertificateRuleError) -> TunnelAuthority {
        let identifier: AuthorityKeyIdentifier?
        do { identifier = try leaf.extensions.authorityKeyIdentifier } catch { throw .unreadableExtension("authority key identifier") }
        guard let wanted = identifier?.keyIdentifier else { throw .noAuthorityKeyIdentifier }
        let named = authorities.filter { $0.keyIdentifier.elementsEqual(wanted) }
        guard !named.isEmpty else { throw .unknownAuthority }
        // Two may have one key identifier, which is their makers' choice; the signature tells them apart.
        for authority in named where authority.certificate.subject == leaf.issuer {
            if authority.certificate.publicKey.isValidSignature(leaf.signature, for: leaf) { return authority }
        }
        throw .notSignedByAuthority
    }

    private static func checkPurpose(_ leaf: Certificate) throws(CertificateRuleError) {
        let purposes: ExtendedKeyUsage?
        do { purposes = try leaf.extensions.extendedKeyUsage } catch { throw .unreadableExtension("extended key usage") }
        if let purposes, !purposes.contains(.serverAuth) { throw .notForServers }
    }

    private static func checkName(_ leaf: Certificate, _ host: String) throws(CertificateRuleError) {
        let names: SubjectAlternativeNames?
        do { names = try leaf.extensions.subjectAlternativeNames } catch { throw .unreadableExtension("subject alternative names") }
        var patterns: [String] = []
        for case .dnsName(let name) in names ?? SubjectAlternativeNames() { patterns.append(name) }
        guard !patterns.isEmpty else { throw .noNames }
        guard patterns.contains(where: { matches(host, pattern: $0) }) else { throw .otherName(host) }
    }

    /// RFC 9525, section 6.3: letters of either case are equal; `*` stands for exactly one whole label, the first.
    static func matches(_ host: String, pattern: String) -> Bool {
        let host = host.lowercased()
        let pattern = pattern.lowercased()
        guard isName(host[...]) else { return false }
        guard pattern.hasPrefix("*.") else { return isName(pattern[...]) && host == pattern }
        let rest = pattern.dropFirst(2)
        // `*.com` would speak for a whole top-level domain.
        guard isName(rest), rest.contains("."), let dot = host.firstIndex(of: ".") else { return false }
        return host[host.index(after: dot)...] == rest
    }

    private static func isName(_ text: Substring) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count)
                    && label.utf8.allSatisfy {
                        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: "-")
                            || $0 == UInt8(ascii: "_")
                    }
            }
    }

    private static let known: Set<ASN1ObjectIdentifier> = [
        .X509ExtensionID.basicConstraints, .X509ExtensionID.keyUsage, .X509ExtensionID.extendedKeyUsage,
        .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.authorityKeyIdentifier, .X509ExtensionID.subjectKeyIdentifier,
    ]
}
