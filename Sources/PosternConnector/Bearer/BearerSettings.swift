import PosternPolicy

/// How a route with `client_auth: none` knows its callers: by access tokens (RFC 9068) that the connector verifies itself.
package struct BearerSettings: Hashable, Sendable {
    /// Who signs them: the claim `iss`, an https URL.
    package var issuer: String
    /// One of them has to be in the claim `aud`.
    package var audiences: Set<String>
    package var keys: Keys
    package var algorithms = Set(TokenAlgorithm.allCases)
    /// All of them have to be in the claim `scope`.
    package var scopes: Set<String> = []
    /// Seconds that the issuer's clock and this one may be apart.
    package var clockSkew = 30
    /// Whether the upstream gets to see the token: it could use it as the caller where the audience is another one's too.
    package var forwards = false

    /// Where the issuer's public keys come from.
    package enum Keys: Hashable, Sendable {
        /// A JSON Web Key Set in a file, read again when it changes.
        case file(String)
        case url(KeySetURL)
    }

    package static let clockSkews = 0...120
    /// Bytes of each text that a caller is known by, as in certificates.
    static let longestText = 255

    package init(issuer: String, audiences: Set<String>, keys: Keys) {
        self.issuer = issuer
        self.audiences = audiences
        self.keys = keys
    }
}

/// Where a key set is fetched: `https` only, one host, never a redirect's target.
package struct KeySetURL: Hashable, Sendable, CustomStringConvertible {
    package var authority: Authority
    /// Path and query, in printable ASCII.
    package var target: String
    /// Which addresses the host may have.
    package var addresses: UpstreamAddresses
    /// PEM of authorities that are trusted instead of the system's.
    package var caFile: String?

    package init(_ text: String, addresses: UpstreamAddresses = .publicAndPrivate, caFile: String? = nil) throws(PolicyValueError) {
        let scheme = "https://"
        guard text.hasPrefix(scheme), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !text.contains("#"), !text.contains("@") else {
            throw PolicyValueError(
                value: text, rule: "must be an https URL without a user and without a fragment", remedy: "write https://host/path, or name a file")
        }
        let rest = text.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = try Authority(String(rest[..<end]), defaultPort: 443)
        target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
        self.addresses = addresses
        self.caFile = caFile
    }

    package var description: String { "https://\(authority)\(target.prefix { $0 != "?" })" }
}
