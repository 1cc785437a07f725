import ManagedAgentsAPI

/// The address of a model service, checked once: a scheme, a host, perhaps a port and a path, nothing else.
package struct ModelBaseURL: Sendable, Equatable, CustomStringConvertible {
    /// Without a slash at the end.
    private let text: String
    /// Without brackets.
    package let host: String
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
        let port: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw refusal("its IPv6 address has no end") }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            guard host.contains(":") else { throw refusal("it has brackets around something that is no IPv6 address") }
            let tail = authority[authority.index(after: end)...]
            // Another reader of URLs could take what stands there for a part of the name.
            guard tail.isEmpty || tail.first == ":" else { throw refusal("something other than a port follows its IPv6 address") }
            port = tail
        } else {
            port = authority[(authority.firstIndex(of: ":") ?? authority.endIndex)...]
            host = String(authority.prefix { $0 != ":" }).lowercased()
        }
        guard !host.isEmpty else { throw refusal("it names no host") }
        if !port.isEmpty {
            let digits = port.utf8.dropFirst()
            guard digits.allSatisfy({ (0x30...0x39).contains($0) }), (1...65_535).contains(Int(port.dropFirst()) ?? 0) else {
                throw refusal("its port is not between 1 and 65535")
            }
        }
        text = (isTLS ? "https://" : "http://") + rest
        guard isTLS || allowsPlainHTTP || isLoopback else {
            throw refusal("plain HTTP is used on loopback only, and \(host) is not loopback; use https")
        }
    }

    /// The address of a path below the base, which begins with a slash.
    func appending(_ path: String) -> String { text + path }

    /// Whether the service is on this machine.
    package var isLoopback: Bool { Loopback.includes(host) }

    package var description: String { text }
}
