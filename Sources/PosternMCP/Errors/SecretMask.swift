import ManagedAgentsClient

extension String {
    /// The text without secrets that a peer may have repeated in it.
    func masked(_ secrets: [Secret]) -> String {
        // Shorter values are no secrets, and would be found in any text.
        secrets.reduce(self) { $1.value.utf8.count < 6 ? $0 : $0.replacing($1.value, with: "<redacted>") }
    }
}
