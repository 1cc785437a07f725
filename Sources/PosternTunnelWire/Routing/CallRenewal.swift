import PosternHTTP

/// How a call outlives the certificate that it began with: the caller names it, and asks for more time on another connection, which stands on a newer
/// certificate of the very same identity. Both are between caller and connector alone, inside their TLS.
package enum CallRenewal {
    /// `POST`, without a body.
    package static let path = "/.well-known/postern/renewal"
    /// On a request: what its call is called. On a renewal: which call goes on.
    package static let header = "postern-call"
    /// Characters of an id: 128 bits that nobody guesses, in lower-case hexadecimal.
    package static let length = 32

    package static func newID() -> String {
        (0..<2).map { _ in
            let text = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }

    /// The id that a request says; `nil` for none, for more than one, and for what is none.
    package static func id(in fields: HTTPFields) -> String? {
        let found = fields.named(header)
        guard found.count == 1 else { return nil }
        let text = found[0].text
        return text.utf8.count == length && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) } ? text : nil
    }
}
