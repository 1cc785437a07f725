import ManagedAgentsAPI

/// The address of a service: `https://host[:port][/prefix]`. Plain HTTP is accepted for loopback only, so that a credential never
/// crosses a network unencrypted.
package struct BaseURL: Sendable, Equatable, CustomStringConvertible {
    package var isTLS: Bool
    /// A name, an IPv4 address or an IPv6 address without brackets, in lower case.
    package var host: String
    package var port: Int
    /// Without a slash at the end; empty for none.
    package var prefix: String

    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// Credentials, a query or a fragment in the address are refused; the error never repeats the text, which may hold a secret.
    /// - Parameter allowsPlainHTTP: accept `http` beyond loopback, where what is sent crosses a network in the clear.
    package init(_ text: String, allowsPlainHTTP: Bool = false) throws(Invalid) {
        let rest: Substring
        if text.lowercased().hasPrefix("https://") {
            (isTLS, rest) = (true, text.dropFirst(8))
        } else if text.lowercased().hasPrefix("http://") {
            (isTLS, rest) = (false, text.dropFirst(7))
        } else {
            throw Invalid(description: "the base URL must start with https:// (or http:// for loopback)")
        }
        guard !rest.contains("?"), !rest.contains("#") else { throw Invalid(description: "the base URL must have no query and no fragment") }
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else { throw Invalid(description: "the base URL must not contain credentials") }
        var path = rest.dropFirst(authority.count)
        while path.last == "/" { path.removeLast() }
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(description: "the base URL's path must be percent-encoded ASCII")
        }
        prefix = String(path)

        var name = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { throw Invalid(description: "the base URL's IPv6 address has no closing bracket") }
            name = authority[authority.index(after: authority.startIndex)..<close]
            guard name.contains(":") else { throw Invalid(description: "the base URL has brackets around something that is no IPv6 address") }
            let tail = authority[authority.index(after: close)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw Invalid(description: "the base URL's port is not a number") }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            name = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        guard !name.isEmpty, name.utf8.allSatisfy({ Self.hostBytes.contains($0) }) else {
            throw Invalid(description: "the base URL has no valid host")
        }
        host = name.lowercased()
        if let portText {
            guard let value = Int(portText), (1...65535).contains(value) else {
                throw Invalid(description: "the base URL's port is not between 1 and 65535")
            }
            port = value
        } else {
            port = isTLS ? 443 : 80
        }
        guard isTLS || allowsPlainHTTP || isLoopback else {
            throw Invalid(description: "plain HTTP is dialled on loopback only; use https:// for \(host)")
        }
    }

    private static let hostBytes = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:".utf8)

    /// Whether the service is on this machine.
    package var isLoopback: Bool { Loopback.includes(host) }

    /// The host as a URL writes it: an IPv6 address in brackets.
    package var writtenHost: String { host.contains(":") ? "[\(host)]" : host }

    package var description: String { "\(isTLS ? "https" : "http")://\(writtenHost):\(port)\(prefix)" }
}
