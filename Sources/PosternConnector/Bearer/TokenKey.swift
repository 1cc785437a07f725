import Crypto
import CryptoExtras
import PosternJSON

/// A public key of an issuer of tokens. Its type says which algorithms it may be used with, whatever a token claims of itself.
enum TokenKey: Sendable {
    case p256(P256.Signing.PublicKey)
    case p384(P384.Signing.PublicKey)
    case ed25519(Curve25519.Signing.PublicKey)
    case rsa(_RSA.Signing.PublicKey)

    /// A JSON Web Key (RFC 7517; RFC 7518, section 6); `nil` for kinds that are not used here, and for what is no such key.
    init?(_ key: JSON) {
        func bytes(_ name: String, _ count: Int? = nil) -> [UInt8]? {
            guard let text = key[name]?.string, let bytes = Base64URL.decode(text.utf8), !bytes.isEmpty else { return nil }
            return count.map { $0 == bytes.count } ?? true ? bytes : nil
        }
        switch (key["kty"]?.string, key["crv"]?.string) {
        case ("EC", "P-256"):
            guard let x = bytes("x", 32), let y = bytes("y", 32), let key = try? P256.Signing.PublicKey(rawRepresentation: x + y) else { return nil }
            self = .p256(key)
        case ("EC", "P-384"):
            guard let x = bytes("x", 48), let y = bytes("y", 48), let key = try? P384.Signing.PublicKey(rawRepresentation: x + y) else { return nil }
            self = .p384(key)
        case ("OKP", "Ed25519"):
            guard let x = bytes("x", 32), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else { return nil }
            self = .ed25519(key)
        case ("RSA", _):
            // 2048 bits at least: what is weaker is no key.
            guard let n = bytes("n"), n.count <= Self.mostModulus, let e = bytes("e"), e.count <= 4,
                let key = try? _RSA.Signing.PublicKey(n: n, e: e)
            else { return nil }
            self = .rsa(key)
        default: return nil
        }
    }

    /// Bytes: 8192 bits. A larger one costs more to check with than a request is worth.
    private static let mostModulus = 1024

    func fits(_ algorithm: TokenAlgorithm) -> Bool {
        switch (self, algorithm) {
        case (.p256, .es256), (.p384, .es384), (.ed25519, .eddsa), (.rsa, .rs256), (.rsa, .ps256): true
        default: false
        }
    }

    /// Whether `signature` is this key's over `message`; never where the key is of another kind than the algorithm.
    func verifies(_ signature: [UInt8], of message: [UInt8], _ algorithm: TokenAlgorithm) -> Bool {
        switch (self, algorithm) {
        // Both numbers at their full length, one after the other (RFC 7518, section 3.4).
        case (.p256(let key), .es256):
            (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map { key.isValidSignature($0, for: message) } ?? false
        case (.p384(let key), .es384):
            (try? P384.Signing.ECDSASignature(rawRepresentation: signature)).map { key.isValidSignature($0, for: message) } ?? false
        case (.ed25519(let key), .eddsa): key.isValidSignature(signature, for: message)
        case (.rsa(let key), .rs256):
            key.isValidSignature(.init(rawRepresentation: signature), for: SHA256.hash(data: message), padding: .insecurePKCS1v1_5)
        case (.rsa(let key), .ps256): key.isValidSignature(.init(rawRepresentation: signature), for: SHA256.hash(data: message), padding: .PSS)
        default: false
        }
    }
}
