import ManagedAgentsClient

/// The address of an MCP server over HTTP: `https://host[:port]/path[?query]`, path and query as they are. Plain HTTP is dialled on loopback only,
/// unless the operator allows it.
package struct MCPEndpoint: Sendable, Equatable, CustomStringConvertible {
    /// Scheme, host and port, without a path.
    package let base: BaseURL
    /// Path and query, beginning with a slash.
    package let target: String

    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// The error never repeats the text, which may hold a secret.
    package init(_ text: String, allowsPlainHTTP: Bool = false) throws(Invalid) {
        let slashes = text.utf8.indices.first { text[$0...].utf8.starts(with: "://".utf8) }
        guard let slashes else { throw Invalid(description: "the URL must start with https:// (or http:// for loopback)") }
        let scheme = text[...text.utf8.index(slashes, offsetBy: 2)]
        let rest = text[scheme.endIndex...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest.dropFirst(authority.count)
        guard !path.contains("#") else { throw Invalid(description: "the URL must have no fragment") }
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(description: "the URL's path and query must be percent-encoded ASCII")
        }
        do { base = try BaseURL(String(scheme + authority), allowsPlainHTTP: allowsPlainHTTP) } catch {
            throw Invalid(description: error.description)
        }
        target = path.hasPrefix("/") ? String(path) : "/" + path
    }

    /// Another place at the same host.
    init(base: BaseURL, target: String) {
        self.base = base
        self.target = target
    }

    /// Without the query, which may hold a secret.
    package var description: String { "\(base)\(target.prefix { $0 != "?" })" }
}
