/// The `Bearer` challenge of a 401 or 403 (RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 9728, section 5.1).
package struct BearerChallenge: Sendable, Equatable {
    /// Why the token was refused: `invalid_token`, `insufficient_scope` …; nil where none was sent.
    package var error: String?
    package var errorDescription: String?
    /// Scopes that a token needs, separated by spaces.
    package var scope: String?
    /// URL of the protected resource's metadata, which names the authorization servers.
    package var resourceMetadata: String?
    /// Who gives tokens, as that metadata says; empty where it was not asked for.
    package var authorizationServers: [String] = []

    package init(error: String? = nil, errorDescription: String? = nil, scope: String? = nil, resourceMetadata: String? = nil) {
        self.error = error
        self.errorDescription = errorDescription
        self.scope = scope
        self.resourceMetadata = resourceMetadata
    }

    /// Whether with 403 it says that the token is good and its scopes are not enough (RFC 6750, section 3.1). Some servers name the scopes alone.
    var wantsScopes: Bool { error == "insufficient_scope" || error == nil && scope != nil }

    /// The first `Bearer` challenge in the values of `WWW-Authenticate`; nil where there is none. What is malformed is left out, not guessed.
    package init?(fields: [String]) {
        for field in fields {
            var reader = ChallengeReader(field)
            while let (scheme, parameters) = reader.next() {
                guard scheme == "bearer" else { continue }
                self.init(
                    error: parameters["error"], errorDescription: parameters["error_description"], scope: parameters["scope"],
                    resourceMetadata: parameters["resource_metadata"])
                return
            }
        }
        return nil
    }
}

/// Reads the challenges of one field value. A comma separates challenges as well as parameters: a token that `=` does not follow is a scheme.
private struct ChallengeReader {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    /// The next scheme, in lower case, and its parameters by their names in lower case; a repeated one keeps its first value. The token68 of a
    /// challenge (`Negotiate YII…`) is given as a scheme without parameters, which nobody looks for.
    mutating func next() -> (scheme: String, parameters: [String: String])? {
        skip(separators: true)
        while !rest.isEmpty {
            guard let scheme = token()?.lowercased() else {
                // Something else: on after the next comma.
                rest = rest[(rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.endIndex)...]
                skip(separators: true)
                continue
            }
            return (scheme, parameters())
        }
        return nil
    }

    private mutating func parameters() -> [String: String] {
        var parameters: [String: String] = [:]
        while true {
            let before = rest
            skip(separators: true)
            guard let name = token()?.lowercased() else { return parameters }
            skip(separators: false)
            guard rest.first == UInt8(ascii: "=") else {
                // That was the scheme of the next challenge.
                rest = before
                return parameters
            }
            rest = rest.dropFirst()
            skip(separators: false)
            guard let value = rest.first == UInt8(ascii: "\"") ? quoted() : token() else { return parameters }
            if parameters[name] == nil { parameters[name] = value }
        }
    }

    private mutating func skip(separators: Bool) {
        while let byte = rest.first, byte == UInt8(ascii: " ") || byte == 9 || (separators && byte == UInt8(ascii: ",")) { rest = rest.dropFirst() }
    }

    private static let tokenBytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/:".utf8)

    private mutating func token() -> String? {
        let bytes = rest.prefix { Self.tokenBytes.contains($0) }
        guard !bytes.isEmpty else { return nil }
        rest = rest[bytes.endIndex...]
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A quoted string (RFC 9110, section 5.6.4); nil where its end is missing.
    private mutating func quoted() -> String? {
        var bytes: [UInt8] = []
        rest = rest.dropFirst()
        while let byte = rest.first {
            rest = rest.dropFirst()
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = rest.first else { return nil }
                rest = rest.dropFirst()
                bytes.append(escaped)
            default: bytes.append(byte)
            }
        }
        return nil
    }
}
