/// Writes ClientHellos, right ones and wrong ones.
struct HelloBuilder {
    /// `nil` leaves the extension out.
    var serverName: String? = "docs.ab12cd34.tunnel.example.com"
    /// Type and data, before and after the server name.
    var before: [(UInt16, [UInt8])] = []
    var after: [(UInt16, [UInt8])] = []
    var version: [UInt8] = [3, 3]
    var hasExtensions = true

    /// Sizes and shapes of today's clients: GREASE, key shares, ECH.
    static var browser: HelloBuilder {
        var hello = HelloBuilder()
        hello.before = [(0x2A2A, []), (0xFE0D, Array(repeating: 7, count: 180))]
        hello.after = [
            (16, Self.vector(2, Self.vector(1, Array("http/1.1".utf8)))), (43, Self.vector(1, [0x4A, 0x4A, 3, 4, 3, 3])),
            (51, Array(repeating: 9, count: 1300)), (0x3A3A, [0]),
        ]
        return hello
    }

    static func vector(_ width: Int, _ bytes: [UInt8]) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * (width - 1 - $0))) } + bytes
    }

    /// The extension of RFC 6066.
    static func names(_ names: [(UInt8, [UInt8])]) -> [UInt8] { vector(2, names.flatMap { [$0.0] + vector(2, $0.1) }) }

    /// The handshake message.
    var message: [UInt8] {
        var extensions = before
        if let serverName { extensions.append((0, Self.names([(0, Array(serverName.utf8))]))) }
        extensions += after
        var body = version + Array(repeating: 5, count: 32) + Self.vector(1, Array(repeating: 6, count: 32))
        body += Self.vector(2, [0x1A, 0x1A, 0x13, 0x01]) + Self.vector(1, [0])
        if hasExtensions {
            body += Self.vector(2, extensions.flatMap { [UInt8($0.0 >> 8), UInt8(truncatingIfNeeded: $0.0)] + Self.vector(2, $0.1) })
        }
        return [1] + Self.vector(3, body)
    }

    /// The message in records of at most `size` bytes.
    func records(of size: Int = 16_384) -> [UInt8] { Self.records(message, of: size) }

    static func records(_ message: [UInt8], of size: Int) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { [22, 3, 1] + vector(2, Array(message[$0..<min($0 + size, message.count)])) }
    }
}
