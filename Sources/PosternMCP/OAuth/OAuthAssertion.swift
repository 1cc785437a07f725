import Crypto
import FoundationEssentials
import ManagedAgentsAPI
import PosternJSON

/// A client's own key. It does not print.
package struct OAuthKey: Sendable, CustomStringConvertible, CustomReflectable {
    private let key: P256.Signing.PrivateKey
    /// What the authorization server calls it; nil where it has one key of the client.
    let id: String?

    /// - Parameter pem: SEC 1 or PKCS #8, of the curve P-256; nil where it is neither.
    package init?(pem: String, id: String?) {
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else { return nil }
        self.key = key
        self.id = id
    }

    package var description: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: [:]) }

    /// A signature as RFC 7518, section 3.4, has it.
    fileprivate func signature(of bytes: [UInt8]) throws -> [UInt8] { Array(try key.signature(for: bytes).rawRepresentation) }
}

/// By what a client proves that it holds its key (RFC 7523, section 3; MCP's extension "OAuth Client Credentials"): a JWT for one authorization server,
/// which is of no use to another, and for a minute.
package struct OAuthAssertion: Sendable, Equatable {
    static let life = 60

    let key: OAuthKey
    let client: String
    /// The issuer, as its metadata writes it: servers compare bytes, and a slash at the end is one.
    let audience: String

    package static func == (left: Self, right: Self) -> Bool {
        left.client == right.client && left.audience == right.audience && left.key.id == right.key.id
    }

    /// - Parameter nonce: different in each.
    package func token(at time: Date, nonce: String) throws -> String {
        var header: JSONObject = ["alg": "ES256", "typ": "JWT"]
        if let id = key.id { header["kid"] = .string(id) }
        let seconds = Int(time.timeIntervalSince1970)
        let claims: JSONObject = [
            "iss": .string(client), "sub": .string(client), "aud": .string(audience), "jti": .string(nonce), "iat": JSON(seconds),
            "exp": JSON(seconds + Self.life),
        ]
        let signed = [header, claims].map { Base64URL.encode(Array(JSON.object($0).text.utf8)) }.joined(separator: ".")
        return "\(signed).\(Base64URL.encode(try key.signature(of: Array(signed.utf8))))"
    }
}
