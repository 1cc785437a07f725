import PosternTunnelWire
import SwiftASN1
import X509

/// The file of the server certificate's key. It may hold more than one: two files cannot be replaced at once, so a new key is put beside the one that
/// is in use before the certificate changes. Whoever reads the certificate first and the keys after it finds one that fits, at every moment and after a
/// crash at any.
package enum ServerKeys {
    /// The key for `publicKey` in PEM, out of the text of a key file; `nil` where none fits.
    package static func key(for publicKey: Certificate.PublicKey, in text: String) -> String? {
        all(in: text).first { $0.key.publicKey == publicKey }?.pem
    }

    /// Whether the key of `authority` is in the text of a key file.
    package static func hasKey(of authority: TunnelAuthority, in text: String) -> Bool {
        key(for: authority.certificate.publicKey, in: text) != nil
    }

    /// What the key file says before the certificate for `key` takes the place of `certificate`: the new key, and the one that is in use.
    package static func adding(_ key: String, to text: String?, inUseBy certificate: String?) -> String {
        let used = certificate.flatMap { leaf(in: $0) }.flatMap { leaf in text.flatMap { self.key(for: leaf.publicKey, in: $0) } }
        guard let used, used.trimmed != key.trimmed else { return key.trimmed }
        return key.trimmed + "\n" + used.trimmed
    }

    /// The text without the keys that are not `certificate`'s; `nil` where there is none to take away, or none that fits.
    package static func pruned(_ text: String, to certificate: String) -> String? {
        guard let leaf = leaf(in: certificate), all(in: text).count > 1 else { return nil }
        return key(for: leaf.publicKey, in: text)?.trimmed
    }

    /// The first certificate of a PEM file: the server's own.
    package static func leaf(in pem: String) -> Certificate? {
        guard let document = try? PEMDocument.parseMultiple(pemString: pem).first(where: { $0.discriminator == Certificate.defaultPEMDiscriminator })
        else { return nil }
        return try? Certificate(pemDocument: document)
    }

    static func all(in text: String) -> [(key: Certificate.PrivateKey, pem: String)] {
        ((try? PEMDocument.parseMultiple(pemString: text)) ?? []).compactMap { document in
            (try? Certificate.PrivateKey(pemDocument: document)).map { ($0, document.pemString) }
        }
    }
}

extension String {
    fileprivate var trimmed: String { String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
}
