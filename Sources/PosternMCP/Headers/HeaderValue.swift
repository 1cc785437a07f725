/// Text of a request's body that is repeated in a header field (2026-07-28, transports, "Value encoding").
package enum HeaderValue {
    /// Printable ASCII without a space at either end goes as it is; everything else as `=?base64?…?=`, and so does what would be read as that.
    package static func encode(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let isPlain = bytes.allSatisfy { (0x20...0x7E).contains($0) } && bytes.first != 0x20 && bytes.last != 0x20
        if isPlain, !(text.hasPrefix("=?base64?") && text.hasSuffix("?=")) { return text }
        return "=?base64?\(Base64.encode(bytes))?="
    }

    /// The text that `encode` made of it; nil for what no encoder makes.
    package static func decode(_ value: String) -> String? {
        guard value.hasPrefix("=?base64?"), value.hasSuffix("?="), value.utf8.count >= 11 else { return value }
        return Base64.decode(String(value.dropFirst(9).dropLast(2))).flatMap { String(validating: $0, as: UTF8.self) }
    }
}

/// Base64 with padding (RFC 4648, section 4), which the standard library does not have.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let rest = bytes.count - start
            let group = Int(bytes[start]) << 16 | (rest > 1 ? Int(bytes[start + 1]) << 8 : 0) | (rest > 2 ? Int(bytes[start + 2]) : 0)
            output.append(alphabet[group >> 18])
            output.append(alphabet[group >> 12 & 63])
            output.append(rest > 1 ? alphabet[group >> 6 & 63] : UInt8(ascii: "="))
            output.append(rest > 2 ? alphabet[group & 63] : UInt8(ascii: "="))
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Nil for what is not base64 in whole groups of four; line breaks and spaces are none.
    package static func decode(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        guard bytes.count % 4 == 0 else { return nil }
        let padding = bytes.suffix(2).count { $0 == UInt8(ascii: "=") }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count / 4 * 3)
        var group = 0
        for (index, byte) in bytes.dropLast(padding).enumerated() {
            guard let value = values[Int(byte)] else { return nil }
            group = group << 6 | Int(value)
            guard index % 4 == 3 else { continue }
            output.append(UInt8(group >> 16))
            output.append(UInt8(group >> 8 & 255))
            output.append(UInt8(group & 255))
            group = 0
        }
        if padding == 1 {
            output.append(UInt8(group >> 10))
            output.append(UInt8(group >> 2 & 255))
        } else if padding == 2 {
            output.append(UInt8(group >> 4))
        }
        return output
    }

    private static let values: [UInt8?] = {
        var values = [UInt8?](repeating: nil, count: 256)
        for (value, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }()
}
