/// Why a secret has no value now. What needs it fails; nothing is sent with an empty or an old value. Holds nothing secret.
package struct SecretSourceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where the value was looked for: `file /etc/…`, `variable NAME`, `vault https://… path`.
    package var source: String
    package var reason: String
    package var remedy: String
    /// Whether the same question may have an answer a little later: the service did not answer, or answered that it cannot now.
    package var isTemporary: Bool

    package init(_ source: String, _ reason: String, remedy: String, isTemporary: Bool = false) {
        self.source = source
        self.reason = reason
        self.remedy = remedy
        self.isTemporary = isTemporary
    }

    package var description: String { "\(source): \(reason); \(remedy)" }
}
