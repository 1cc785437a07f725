import PosternHTTP

/// What a sandbox proves itself with at its proxy: `http://session:TOKEN@127.0.0.1:3128`. It keeps apart the sessions that share a proxy
/// process; it does not print.
package struct ProxyToken: Sendable, CustomStringConvertible {
    /// The user name of the proxy's URL.
    package static let user = "session"
    private let bytes: [UInt8]

    /// `text` is at least 16 characters that need no escape in a URL.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        let allowed = { (byte: UInt8) in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard (16...128).contains(bytes.count), bytes.allSatisfy(allowed) else { return nil }
        self.bytes = bytes
    }

    /// 256 bits of chance.
    package init(using random: inout some RandomNumberGenerator) {
        let alphabet = Array("0123456789abcdef".utf8)
        bytes = (0..<64).map { _ in alphabet[Int.random(in: 0..<16, using: &random)] }
    }

    /// For the proxy variables of the sandbox and the control message, nowhere else.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    package var description: String { "<proxy token>" }

    /// Whether a `Proxy-Authorization` value proves the session (RFC 7617).
    func accepts(header value: [UInt8]) -> Bool {
        let scheme = Array("basic ".utf8)
        guard value.count > scheme.count, value.prefix(scheme.count).map({ $0 | 0x20 }) == scheme,
            let decoded = Base64.decode(HTTPText.trimmed(value[scheme.count...]))
        else { return false }
        return equalInConstantTime(decoded, Array("\(Self.user):".utf8) + bytes)
    }

    /// Whether the user name and password of SOCKS5 prove the session (RFC 1929).
    func accepts(user: [UInt8], password: [UInt8]) -> Bool {
        // Both are compared whatever the first comparison says.
        let users = equalInConstantTime(user, Array(Self.user.utf8))
        let passwords = equalInConstantTime(password, bytes)
        return users && passwords
    }
}
