/// Cuts DNS over TCP (RFC 7766, section 8) into messages. A value without I/O.
struct DNSStream: Sendable {
    private var bytes: [UInt8] = []

    /// Takes what came. Throws when a message is longer than any question for an address.
    mutating func append(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

    /// The next whole message; `nil` until there is one.
    mutating func next() throws(DNSStreamError) -> [UInt8]? {
        guard bytes.count >= 2 else { return nil }
        let length = Int(bytes[0]) << 8 | Int(bytes[1])
        guard length <= SyntheticResolver.longestQuery else { throw DNSStreamError(length: length) }
        guard bytes.count >= 2 + length else { return nil }
        defer { bytes.removeFirst(2 + length) }
        return Array(bytes[2..<2 + length])
    }

    /// `message` as it goes on the wire.
    static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(truncatingIfNeeded: message.count >> 8), UInt8(truncatingIfNeeded: message.count)] + message
    }
}

/// A message over TCP that is too long to be a query.
struct DNSStreamError: Error {
    var length: Int
}
