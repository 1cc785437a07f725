/// Values inside `postern:` URIs: percent-encoded (RFC 3986, section 2.1) but for unreserved characters, `:` and `@`. Each value has exactly
/// one spelling, so that two readers never differ.
enum IdentityText {
    static func encode(_ value: String) -> String {
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            if isPlain(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `nil` for what `encode` would not write, and for bytes that are not UTF-8.
    static func decode(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count, let high = digits.firstIndex(of: bytes[index + 1]), let low = digits.firstIndex(of: bytes[index + 2])
                else { return nil }
                decoded.append(UInt8(high << 4 | low))
                index += 3
            } else {
                decoded.append(bytes[index])
                index += 1
            }
        }
        guard let value = String(validating: decoded, as: UTF8.self), encode(value).utf8.elementsEqual(bytes) else { return nil }
        return value
    }

    /// RFC 3986, section 2.3, and the two that identifiers carry.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "@"): true
        default: false
        }
    }

    private static let digits = Array("0123456789ABCDEF".utf8)
}
