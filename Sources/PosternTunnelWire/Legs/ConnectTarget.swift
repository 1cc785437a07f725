import PosternTLS

/// The target of a `CONNECT` (RFC 9110, section 9.3.6): `host:443`. Inner TLS is all that a tunnel carries, so no other port means anything.
package enum ConnectTarget {
    package static let port = 443

    package static func text(_ host: String) -> String { "\(host):\(port)" }

    /// The host name of a target, canonical; `nil` for what is no `host:443`.
    package static func host(_ target: some Collection<UInt8>) -> String? {
        let suffix = Array(":\(port)".utf8)
        guard target.suffix(suffix.count).elementsEqual(suffix) else { return nil }
        return HostName.canonical(target.dropLast(suffix.count))
    }
}
