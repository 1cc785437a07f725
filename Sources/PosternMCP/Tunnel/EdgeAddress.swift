import ManagedAgentsClient

/// Where an edge listens: a name or an address, and a port.
package struct EdgeAddress: Sendable, Hashable, CustomStringConvertible {
    /// In lower case; an IPv6 address without brackets.
    package let host: String
    /// 1 to 65535.
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`; `nil` for anything else. The port is 443 where none is given.
    package init?(_ text: String) {
        guard !text.contains("/"), let parsed = try? BaseURL("https://\(text)"), text.hasPrefix("[") || !parsed.host.contains(":") else { return nil }
        self.init(host: parsed.host, port: parsed.port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
