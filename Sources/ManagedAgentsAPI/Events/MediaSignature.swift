/// What the first bytes of a file say that it is, among the kinds that model services take as images and documents.
package enum MediaSignature {
    package static let images = ["image/png", "image/jpeg", "image/gif", "image/webp"]
    package static let document = "application/pdf"
    /// A PDF may begin with something else, but not with more than that.
    private static let longestPreamble = 1_024

    /// - Parameter data: Base64. Only its beginning is read.
    /// - Returns: nil for what is none of the kinds, and for what is no base64.
    package static func mediaType(ofBase64 data: String) -> String? {
        let bytes = decoded(data, limit: longestPreamble + 8)
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return "image/png" }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
        if bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8) { return "image/gif" }
        if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WEBP".utf8) { return "image/webp" }
        let mark = Array("%PDF-".utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: mark) } ? document : nil
    }

    /// Whether it is base64 of RFC 4648, section 4, with its padding.
    static func isBase64(_ data: String) -> Bool {
        let bytes = data.utf8
        guard bytes.count.isMultiple(of: 4) else { return false }
        let padding = bytes.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
        return bytes.dropLast(padding).allSatisfy { value(of: $0) != nil }
    }

    /// The first bytes of what `data` encodes, as far as it can be read.
    private static func decoded(_ data: String, limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in data.utf8 {
            guard bytes.count < limit, let value = value(of: byte) else { break }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }

    private static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
