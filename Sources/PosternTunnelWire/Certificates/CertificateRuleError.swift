/// The rule of tunnel certificates that one breaks; the description says what to do about it and holds nothing of the certificate but names.
package enum CertificateRuleError: Error, Sendable, Hashable, CustomStringConvertible {
    // MARK: The file of an authority

    case tooLarge
    /// A private key, or anything else that is no certificate, named by its PEM label.
    case keyMaterial(String)
    case notACertificate(String)
    case textOutside
    case count(Int)
    case unreadable

    // MARK: Authorities and servers

    case notVersion3
    case weakKey(String)
    case weakSignature(String)
    case notYetValid
    case expired
    case unreadableExtension(String)
    case unknownCriticalExtension(String)

    // MARK: Authorities

    case noBasicConstraints
    case basicConstraintsNotCritical
    case notAnAuthority
    case noSubjectKeyIdentifier
    case noCertificateSigning

    // MARK: Servers

    case noAuthorityKeyIdentifier
    /// No registered authority has the key that the certificate names.
    case unknownAuthority
    /// The named authority has another name or another key than the one that signed.
    case notSignedByAuthority
    case authorityNotValid
    case noNames
    case otherName(String)
    case notForServers

    package var description: String {
        switch self {
        case .tooLarge: "has more than \(AuthorityRules.maximumSize) bytes; send the one CA certificate in PEM"
        case .keyMaterial(let label):
            "holds a \(label.prefix(40)); a private key never leaves your network: take it out, and replace it if it was sent"
        case .notACertificate(let label): "holds a \(label.prefix(40)); send nothing but the CA certificate in PEM"
        case .textOutside: "holds text outside the certificate; send what `openssl x509 -in FILE` prints"
        case .count(0): "holds no certificate in PEM; send the CA certificate, which begins with -----BEGIN CERTIFICATE-----"
        case .count(let count): "holds \(count) certificates; register each authority by itself"
        case .unreadable: "holds no readable X.509 certificate"
        case .notVersion3: "the certificate is not of X.509 version 3"
        case .weakKey(let key): "the certificate's key is \(key); use RSA with at least 2048 bits, or ECDSA on P-256, P-384 or P-521"
        case .weakSignature(let algorithm): "the certificate is signed with \(algorithm); use SHA-256 or better, with RSA or ECDSA"
        case .notYetValid: "the certificate is not valid yet; compare the clocks"
        case .expired: "the certificate has expired; make a new one"
        case .unreadableExtension(let name): "the certificate's \(name) cannot be read"
        case .unknownCriticalExtension(let oid): "the certificate has the critical extension \(oid), which is not known here"
        case .noBasicConstraints: "the certificate has no basic constraints; an authority's has CA:TRUE"
        case .basicConstraintsNotCritical: "the certificate's basic constraints are not critical; mark them so"
        case .notAnAuthority: "the certificate is not an authority's: its basic constraints say CA:FALSE"
        case .noSubjectKeyIdentifier: "the certificate has no subject key identifier"
        case .noCertificateSigning: "the certificate's key usage does not allow signing certificates (keyCertSign)"
        case .noAuthorityKeyIdentifier: "the certificate has no authority key identifier"
        case .unknownAuthority: "the certificate's authority key identifier is not the key of an authority that is registered for the tunnel"
        case .notSignedByAuthority: "the certificate is not signed directly by the authority that it names"
        case .authorityNotValid: "the authority's own certificate is not valid now; register a new one"
        case .noNames: "the certificate has no DNS names (subject alternative names)"
        case .otherName(let host): "the certificate does not name \(host.prefix(255))"
        case .notForServers: "the certificate's extended key usage lacks serverAuth"
        }
    }
}
