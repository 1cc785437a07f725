import FoundationEssentials
import PosternTunnelWire
import X509

/// A server certificate from the customer's own authority, held to the rules that callers hold it to (tunnels.md, "Rules for certificate authorities").
package struct GivenServer: Sendable, CustomStringConvertible, CustomReflectable {
    /// The certificate alone, in PEM.
    package let certificatePEM: String
    package let authorityPEM: String
    package let authority: TunnelAuthority
    package let expires: Date
    /// In PEM. A secret.
    package let keyPEM: String

    /// Throws the rule that one of both breaks, with the option that names its file.
    /// - Parameters:
    ///   - keys: texts of the key files among which its key has to be.
    ///   - hosts: the routes' names.
    package init(certificate: String, authority: String, keys: [String], hosts: [String], now: Date) throws(ConnectorError) {
        do throws(CertificateRuleError) {
            self.authority = try AuthorityRules.check(pem: authority, now: now)
        } catch {
            throw ConnectorError("--server-ca: \(error)")
        }
        let leaf = try Self.leaf(certificate)
        do throws(CertificateRuleError) {
            for host in hosts { try ServerCertificateRules.check(leaf: leaf, authorities: [self.authority], host: host, now: now) }
        } catch {
            throw ConnectorError("--server-certificate: \(error)")
        }
        guard let key = keys.lazy.compactMap({ ServerKeys.key(for: leaf.publicKey, in: $0) }).first else {
            throw ConnectorError(
                "--server-certificate: the certificate is not for the key of the request: have server.csr signed as `--csr` wrote it")
        }
        (certificatePEM, authorityPEM, expires, keyPEM) = (certificate, authority, leaf.notValidAfter, key)
    }

    private static func leaf(_ pem: String) throws(ConnectorError) -> Certificate {
        do throws(CertificateRuleError) {
            return try ServerCertificateRules.leaf(in: pem)
        } catch {
            switch error {
            // Callers know the tunnel's authorities and look at nothing in between.
            case .count(let count) where count > 1:
                throw ConnectorError("--server-certificate: the file holds \(count) certificates; give the server's alone, signed by the CA itself")
            case .count, .textOutside, .notACertificate:
                throw ConnectorError("--server-certificate: the file must hold the server's certificate in PEM and nothing else")
            case .tooLarge, .keyMaterial, .unreadable: throw ConnectorError("--server-certificate: the file \(error)")
            default: throw ConnectorError("--server-certificate: \(error)")
            }
        }
    }

    package var description: String { "GivenServer(\(authority.fingerprint))" }
    package var customMirror: Mirror { Mirror(self, children: ["authority": authority.fingerprint]) }
}
