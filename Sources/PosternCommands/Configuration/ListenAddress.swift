import ManagedAgentsAPI

/// An address to listen on: `127.0.0.1:8400`, `[::1]:8400`, `localhost:0`.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// Empty for every address of this machine, of both families.
    package var host: String
    /// 0 takes a free port.
    package var port: Int

    /// - Parameter takesAll: whether the host may be left out, as in `:443`.
    package init(_ text: String, takesAll: Bool = false) throws(ConfigurationError) {
        let problem = ConfigurationError("\"\(text)\" is no address to listen on: write HOST:PORT, such as 127.0.0.1:8400 or [::1]:8400")
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { throw problem }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            // An IPv6 address without brackets: where it ends and the port begins is a guess.
            throw problem
        }
        guard !host.isEmpty || takesAll && text.hasPrefix(":") else { throw problem }
        self.host = host
        self.port = Int(port)
    }

    /// Whether only this machine can connect.
    package var isLoopback: Bool { Loopback.includes(host) }

    package var description: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    package func url(scheme: String, port: Int) -> String {
        let name = host.isEmpty ? "*" : host.contains(":") ? "[\(host)]" : host
        return "\(scheme)://\(name):\(port)"
    }

    /// What is tried one after the other: IPv6 takes IPv4 in as well, where the machine has it.
    package var bindHosts: [String] { host.isEmpty ? ["::", "0.0.0.0"] : [host] }
}
