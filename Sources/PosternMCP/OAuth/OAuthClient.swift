import ManagedAgentsClient

/// What the operator has registered with one authorization server, and how it proves itself there.
package struct OAuthClient: Sendable {
    /// The only authorization server to which the proof is shown: servers name others as they like.
    package let issuer: MCPEndpoint
    package let id: String
    package let proof: Proof
    /// The only scopes that are ever asked for, and that a token may have; nil leaves it to the server, whose word it is otherwise.
    package let allowedScopes: Set<String>?

    package enum Proof: Sendable {
        case secret(Secret)
        case key(OAuthKey)
    }

    package init(issuer: MCPEndpoint, id: String, proof: Proof, allowedScopes: Set<String>? = nil) {
        self.issuer = issuer
        self.id = id
        self.proof = proof
        self.allowedScopes = allowedScopes
    }

    /// How a client proves itself (RFC 6749, section 2.3.1; RFC 7523, section 2.2), by the names of RFC 7591.
    package enum Method: String, Sendable {
        case basic = "client_secret_basic"
        case post = "client_secret_post"
        case key = "private_key_jwt"
    }

    /// Those that the proof allows, best first.
    var methods: [Method] {
        switch proof {
        case .secret: [.basic, .post]
        case .key: [.key]
        }
    }

    /// Where the operator has given the proof, for errors.
    var proofOptions: String {
        switch proof {
        case .secret: "the file of --oauth-client-secret-file"
        case .key: "--oauth-client-key-file and --oauth-client-key-id, whose public half the authorization server has to have"
        }
    }

    /// What no error may show.
    var secret: Secret? {
        guard case .secret(let secret) = proof else { return nil }
        return secret
    }

    /// A token request (RFC 6749, section 4.4.2; RFC 8707, section 2.2). Spaces are `%20`, which every reader of forms takes as it does `+`.
    func question(_ server: AuthorizationServer, resource: String, scopes: Set<String>) -> OAuthFlow.Question {
        var pairs = [("grant_type", "client_credentials"), ("resource", resource)]
        if !scopes.isEmpty { pairs.append(("scope", scopes.sorted().joined(separator: " "))) }
        var question = OAuthFlow.Question(stage: .token, url: server.tokenEndpoint)
        switch (proof, server.method) {
        case (.secret(let secret), .post): pairs += [("client_id", id), ("client_secret", secret.value)]
        case (.secret(let secret), _):
            // Both halves are form-encoded first, so that a colon in the id is none.
            let pair = "\(PercentEncoding.encode(id)):\(PercentEncoding.encode(secret.value))"
            question.authorization = Secret("Basic \(Base64.encode(Array(pair.utf8)))")
        case (.key(let key), _):
            pairs += [("client_id", id), ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")]
            question.assertion = OAuthAssertion(key: key, client: id, audience: server.issuer)
        }
        question.form = Array(pairs.map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&").utf8)
        return question
    }
}

/// Scopes as a challenge or a token's answer writes them (RFC 6749, section 3.3).
enum OAuthScopes {
    /// Bytes that are read of a list: more is nobody's need.
    static let longest = 4096
    /// Bytes of all scopes of one token, those of earlier refusals too.
    static let longestInAll = 4 * longest

    static func parse(_ text: String) -> Set<String> {
        guard text.utf8.count <= longest else { return [] }
        return Set(text.split(separator: " ").filter { $0.utf8.allSatisfy(isAllowed) }.map(String.init))
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }
}
