import Crypto
import CryptoExtras
import Foundation

/// Somebody who signs tokens, well or badly.
struct TokenForge: Sendable {
    static let issuer = "https://login.example.com"
    static let audience = "https://docs.example.com"

    let p256 = P256.Signing.PrivateKey()
    let p384 = P384.Signing.PrivateKey()
    let ed25519 = Curve25519.Signing.PrivateKey()
    /// Made once: it takes a while.
    static let rsa = try? _RSA.Signing.PrivateKey(keySize: .bits2048)

    static func base64(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Members of a key set, by the id that is the name of their algorithm.
    func key(_ algorithm: String, id: String? = nil, more: String = "") throws -> String {
        let head = "\"kid\": \"\(id ?? algorithm)\"\(more)"
        switch algorithm {
        case "ES256":
            let raw = p256.publicKey.rawRepresentation
            return
                "{\(head), \"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"\(Self.base64(raw.prefix(32)))\", \"y\": \"\(Self.base64(raw.suffix(32)))\"}"
        case "ES384":
            let raw = p384.publicKey.rawRepresentation
            return
                "{\(head), \"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"\(Self.base64(raw.prefix(48)))\", \"y\": \"\(Self.base64(raw.suffix(48)))\"}"
        case "EdDSA": return "{\(head), \"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"\(Self.base64(ed25519.publicKey.rawRepresentation))\"}"
        default:
            let key = try rsaKey().publicKey.getKeyPrimitives()
            return "{\(head), \"kty\": \"RSA\", \"n\": \"\(Self.base64(key.modulus))\", \"e\": \"\(Self.base64(key.publicExponent))\"}"
        }
    }

    func keySet(_ algorithms: [String] = ["ES256"], more: String = "") throws -> String {
        "{\"keys\": [\(try algorithms.map { try key($0, more: more) }.joined(separator: ", "))]}"
    }

    /// The claims of a good token; `change` makes another one of it.
    static func claims(_ change: (inout [String: Any]) -> Void = { _ in }, now: Date = Date()) -> [String: Any] {
        var claims: [String: Any] = [
            "iss": issuer, "aud": audience, "sub": "ada", "client_id": "cli", "iat": Int(now.timeIntervalSince1970),
            "exp": Int(now.timeIntervalSince1970) + 600, "scope": "mcp:read mcp:write",
        ]
        change(&claims)
        return claims
    }

    /// A token, signed as its header says unless `sign` signs it.
    func token(
        _ claims: [String: Any] = Self.claims(), algorithm: String = "ES256", header change: (inout [String: Any]) -> Void = { _ in },
        sign: (([UInt8]) throws -> [UInt8])? = nil
    ) throws -> String {
        var header: [String: Any] = ["alg": algorithm, "kid": algorithm, "typ": "at+jwt"]
        change(&header)
        let text = try Self.base64(JSONSerialization.data(withJSONObject: header)) + "." + Self.base64(JSONSerialization.data(withJSONObject: claims))
        return text + "." + Self.base64(try (sign ?? { try signature($0, algorithm) })(Array(text.utf8)))
    }

    func signature(_ message: [UInt8], _ algorithm: String) throws -> [UInt8] {
        switch algorithm {
        case "ES256": return Array(try p256.signature(for: message).rawRepresentation)
        case "ES384": return Array(try p384.signature(for: message).rawRepresentation)
        case "EdDSA": return Array(try ed25519.signature(for: message))
        case "PS256": return Array(try rsaKey().signature(for: SHA256.hash(data: message), padding: .PSS).rawRepresentation)
        default: return Array(try rsaKey().signature(for: SHA256.hash(data: message), padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }

    struct NoKey: Error {}

    private func rsaKey() throws -> _RSA.Signing.PrivateKey {
        guard let rsa = Self.rsa else { throw NoKey() }
        return rsa
    }
}
