import ManagedAgentsAPI

/// An address to listen on: `127.0.0.1:8400`, `[::1]:8400`, `localhost:0`.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    package var host: String
    /// 0 takes a free port.
    package var port: Int

    package init(_ text: String) throws(ConfigurationError) {
        let problem = ConfigurationError("\"\(text)\" is no address to listen on: write HOST:PORT, such as 127.0.0.1:8400 or [::1]:8400")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { throw problem }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            // An IPv6 address without brackets: where it ends and the port begins is a guess.
            throw problem
        }
        guard !host.isEmpty else { throw problem }
        self.host = host
        self.port = Int(port)
    }

    /// Whether only this machine can connect.
    package var isLoopback: Bool { Loopback.includes(host) }

    package var description: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    package func url(scheme: String, port: Int) -> String { "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}
