/// An HTTP proxy that is asked to `CONNECT`: `http://[user:password@]host:port`.
package struct Proxy: Sendable, Equatable {
    package var host: String
    package var port: Int
    package var credentials: Credentials?

    package struct Credentials: Sendable, Equatable {
        package var user: String
        package var password: Secret
    }

    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package var description: String
    }

    /// The port defaults to 80. The error never repeats the text, which may hold a password.
    package init(_ text: String) throws(Invalid) {
        guard text.lowercased().hasPrefix("http://") else { throw Invalid(description: "the proxy must be written http://[user:password@]host:port") }
        var rest = text.dropFirst(7)
        if rest.last == "/" { rest.removeLast() }
        guard !rest.contains("/"), !rest.contains("?"), !rest.contains("#") else {
            throw Invalid(description: "the proxy's address must have no path")
        }
        if let mark = rest.lastIndex(of: "@") {
            let parts = rest[..<mark].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = PercentEncoding.decode(parts[0]), let password = PercentEncoding.decode(parts.count > 1 ? parts[1] : "") else {
                throw Invalid(description: "the proxy's user name or password is not percent-encoded UTF-8")
            }
            credentials = Credentials(user: user, password: Secret(password))
            rest = rest[rest.index(after: mark)...]
        }
        // A proxy obeys the same grammar as a base URL; the scheme only keeps the loopback rule out of the way.
        do {
            let address = try BaseURL("https://" + rest)
            host = address.host
            port = rest.contains(":") && address.port != 443 || rest.hasSuffix(":443") ? address.port : 80
        } catch {
            throw Invalid(description: "the proxy's host or port is not valid")
        }
    }
}
