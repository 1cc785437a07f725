/// A place in a list as clients see it: opaque text that names the list and the order it was made for. It opens nothing by itself, so a checksum
/// suffices: it tells a cursor of another list or a mangled one from a good one, and every list checks access anew.
package struct PageCursor: Sendable, Equatable {
    package var major: Int64
    package var minor: String
    package var isBackward: Bool
    package var isDescending: Bool

    private static let version: UInt8 = 1

    package init(major: Int64, minor: String, isBackward: Bool, isDescending: Bool) {
        self.major = major
        self.minor = minor
        self.isBackward = isBackward
        self.isDescending = isDescending
    }

    /// - Parameter list: Names the list, such as `events:sesn_…`.
    package func encoded(for list: String) -> String {
        var bytes: [UInt8] = [Self.version, (isBackward ? 1 : 0) | (isDescending ? 2 : 0)]
        withUnsafeBytes(of: major.bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: minor.utf8)
        withUnsafeBytes(of: Self.checksum(bytes, list).bigEndian) { bytes.append(contentsOf: $0) }
        return Base64URL.encode(bytes)
    }

    /// - Throws: 400 for anything that `encoded` did not make for this list, or made for the other order.
    package static func decode(_ text: String, list: String, isDescending: Bool) throws(APIError) -> PageCursor {
        let invalid = APIError.invalid("page: invalid cursor")
        guard text.utf8.count <= 512, let bytes = Base64URL.decode(text), bytes.count >= 18, bytes[0] == version, bytes[1] <= 3 else { throw invalid }
        let body = bytes.dropLast(8)
        guard checksum(Array(body), list) == number(bytes.suffix(8)) else { throw invalid }
        let cursor = PageCursor(
            major: Int64(bitPattern: number(bytes[2..<10])), minor: String(decoding: body.dropFirst(10), as: UTF8.self),
            isBackward: bytes[1] & 1 != 0, isDescending: bytes[1] & 2 != 0)
        guard cursor.isDescending == isDescending else { throw .invalid("page: the cursor was made with another order") }
        return cursor
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// FNV-1a, 64 bits.
    private static func checksum(_ bytes: [UInt8], _ list: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in list.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}

/// Base 64 with the URL alphabet and without padding (RFC 4648, section 5).
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var output: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                output.append(alphabet[Int(buffer >> UInt32(bits) & 63)])
            }
            buffer &= (1 << UInt32(bits)) - 1
        }
        if bits > 0 { output.append(alphabet[Int(buffer << UInt32(6 - bits) & 63)]) }
        return String(decoding: output, as: UTF8.self)
    }

    /// Nil for anything that `encode` would not have written; padding is tolerated.
    package static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: "=") { continue }
            guard let value = alphabet.firstIndex(of: byte) else { return nil }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
                buffer &= (1 << UInt32(bits)) - 1
            }
        }
        return buffer == 0 ? output : nil
    }
}
