import Crypto

/// What stands for the names of a tunnel's routes on the way: runtimes and connectors of the tunnel hold the key, an edge does not. An edge tells
/// routes apart by their ids, and learns no name; who holds no key cannot find one out by trying names. Prints nothing.
package struct RouteKey: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// In bytes.
    package static let size = 32
    /// Of ids. No route may have a name of an id's form.
    package static let prefix = "r--"
    /// Characters of an id without its prefix: 128 bits in hexadecimal.
    private static let digits = 32

    private let bytes: [UInt8]

    /// - Parameter bytes: `size` of them; `nil` for any other number.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size else { return nil }
        self.bytes = bytes
    }

    /// 64 lower-case hexadecimal digits, as files hold it.
    package init?(_ text: String) {
        guard text.utf8.count == 2 * Self.size, text.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { return nil }
        var (bytes, rest) = ([UInt8](), Substring(text))
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        self.init(bytes)
    }

    /// The same text. A secret towards edges.
    package var text: String { Hexadecimal.text(bytes) }

    /// The id of a route: one label of a host name.
    package func id(of route: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array("postern route\u{0}\(route)".utf8), using: SymmetricKey(data: bytes))
        return Self.prefix + Hexadecimal.text(code.prefix(Self.digits / 2))
    }

    /// Whether a label has the form of an id.
    package static func isID(_ label: String) -> Bool {
        let rest = label.dropFirst(prefix.count).utf8
        return label.hasPrefix(prefix) && rest.count == digits && rest.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }

    package var description: String { "RouteKey" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
