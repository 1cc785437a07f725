import ManagedAgentsClient

/// What the operator has registered with one authorization server, and how it proves itself there.
package struct OAuthClient: Sendable {
    /// The only authorization server that the secret is shown to: servers name others as they like.
    package let issuer: MCPEndpoint
    package let id: String
    package let secret: Secret
    /// The only scopes that are ever asked for; nil leaves it to the server, whose word it is otherwise.
    package let allowedScopes: Set<String>?

    package init(issuer: MCPEndpoint, id: String, secret: Secret, allowedScopes: Set<String>? = nil) {
        self.issuer = issuer
        self.id = id
        self.secret = secret
        self.allowedScopes = allowedScopes
    }

    /// How a client shows its secret (RFC 6749, section 2.3.1), by the names of RFC 7591.
    package enum Method: String, Sendable, CaseIterable {
        case basic = "client_secret_basic"
        case post = "client_secret_post"
    }

    /// The value of `Authorization` by which the secret is shown. Both halves are form-encoded first, so that a colon in the id is none.
    func basic() -> Secret {
        let pair = "\(PercentEncoding.encode(id)):\(PercentEncoding.encode(secret.value))"
        return Secret("Basic \(Base64.encode(Array(pair.utf8)))")
    }

    /// A token request (RFC 6749, section 4.4.2; RFC 8707, section 2.2) as a form. Spaces are `%20`, which every reader of forms takes as it does `+`.
    func form(resource: String, scopes: Set<String>, by method: Method) -> [UInt8] {
        var pairs = [("grant_type", "client_credentials"), ("resource", resource)]
        if !scopes.isEmpty { pairs.append(("scope", scopes.sorted().joined(separator: " "))) }
        if method == .post { pairs += [("client_id", id), ("client_secret", secret.value)] }
        return Array(pairs.map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&").utf8)
    }
}

/// Scopes as a challenge or a token's answer writes them (RFC 6749, section 3.3).
enum OAuthScopes {
    /// Bytes that are read of a list: more is nobody's need.
    static let longest = 4096

    static func parse(_ text: String) -> Set<String> {
        guard text.utf8.count <= longest else { return [] }
        return Set(text.split(separator: " ").filter { $0.utf8.allSatisfy(isAllowed) }.map(String.init))
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }
}
