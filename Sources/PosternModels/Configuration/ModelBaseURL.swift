/// The address of a model service, checked once: a scheme, a host, perhaps a port and a path, nothing else.
package struct ModelBaseURL: Sendable, Equatable, CustomStringConvertible {
    /// Without a slash at the end.
    private let text: String
    let host: String
    let path: String
    let isTLS: Bool

    /// - Parameter allowsPlainHTTP: accept `http` beyond loopback, where keys and prompts would cross a network in the clear.
    package init(_ source: String, allowsPlainHTTP: Bool = false) throws(ModelConfigurationError) {
        func refusal(_ reason: String) -> ModelConfigurationError {
            ModelConfigurationError("the model's base URL is refused: \(reason); expected something like https://api.anthropic.com")
        }
        let lower = source.lowercased()
        guard lower.hasPrefix("https://") || lower.hasPrefix("http://") else { throw refusal("it begins with neither https:// nor http://") }
        isTLS = lower.hasPrefix("https://")
        var rest = source[...].dropFirst(isTLS ? 8 : 7)
        while rest.last == "/" { rest.removeLast() }
        guard !rest.contains("?"), !rest.contains("#") else { throw refusal("it holds a query or a fragment") }
        guard rest.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw refusal("it holds a character that no URL has") }
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else { throw refusal("it holds a user name; give the key by its own setting") }
        path = String(rest.dropFirst(authority.count))
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw refusal("its IPv6 address has no end") }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
        } else {
            host = String(authority.prefix { $0 != ":" }).lowercased()
        }
        guard !host.isEmpty else { throw refusal("it names no host") }
        text = (isTLS ? "https://" : "http://") + rest
        guard isTLS || allowsPlainHTTP || Self.isLoopback(host) else {
            throw refusal("plain HTTP is used on loopback only, and \(host) is not loopback; use https")
        }
    }

    /// The address of a path below the base, which begins with a slash.
    func appending(_ path: String) -> String { text + path }

    private static func isLoopback(_ host: String) -> Bool {
        guard host != "localhost", host != "::1" else { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    package var description: String { text }
}
