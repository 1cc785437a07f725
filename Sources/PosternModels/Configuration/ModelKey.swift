/// The API key of a model service. Nothing prints it: descriptions and reflection show that there is one, and no more.
package struct ModelKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let secret: String

    /// - Returns: nil for a key that is empty or could not be sent in a header (anything but visible ASCII).
    package init?(_ secret: String) {
        guard !secret.isEmpty, secret.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
        self.secret = secret
    }

    /// The key itself, for the header that carries it.
    var headerValue: String { secret }

    /// `text` without the key, should the service have repeated it.
    func redacted(from text: String) -> String {
        guard text.contains(secret) else { return text }
        return text.split(separator: secret, omittingEmptySubsequences: false).joined(separator: "[key]")
    }

    package var description: String { "[key]" }
    package var debugDescription: String { "[key]" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
