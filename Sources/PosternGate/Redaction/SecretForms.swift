/// The forms in which a known secret is looked for: as it is, escaped for JSON, in base64 at each of the three alignments (both alphabets),
/// in hex (both cases) and escaped for URLs. Long secrets are looked for piece by piece, so that a part of one is found too.
enum SecretForms {
    /// Length of a piece in bytes.
    static let piece = 512

    /// Each form once, none shorter than `KnownSecret.leastBytes`.
    static func all(of value: [UInt8]) -> [[UInt8]] {
        var forms = [value, jsonEscaped(value, slashes: false), jsonEscaped(value, slashes: true)]
        // Escaped twice: JSON in a string of JSON.
        forms.append(jsonEscaped(forms[1], slashes: false))
        for isURLSafe in [false, true] {
            for alignment in 0..<3 { forms.append(base64(value, alignment: alignment, isURLSafe: isURLSafe)) }
        }
        for isUpper in [false, true] {
            forms.append(hex(value, isUpper: isUpper))
            forms.append(percentEncoded(value, isUpper: isUpper, spaceAsPlus: false, unreserved: rfc3986))
            forms.append(percentEncoded(value, isUpper: isUpper, spaceAsPlus: true, unreserved: form))
            // JavaScript's encodeURIComponent and encodeURI leave more as it is.
            forms.append(percentEncoded(value, isUpper: isUpper, spaceAsPlus: false, unreserved: component))
            forms.append(percentEncoded(value, isUpper: isUpper, spaceAsPlus: false, unreserved: wholeURI))
            forms.append(percentEncoded(value, isUpper: isUpper, spaceAsPlus: false, unreserved: ByteSet()))
        }
        var seen = Set<[UInt8]>()
        return forms.filter { $0.count >= KnownSecret.leastBytes && seen.insert($0).inserted }
    }

    /// The form itself, or its pieces; the last piece reaches to the end.
    static func pieces(of form: [UInt8]) -> [[UInt8]] {
        guard form.count > piece else { return [form] }
        var starts = Array(stride(from: 0, to: form.count - piece, by: piece))
        starts.append(form.count - piece)
        return starts.map { Array(form[$0..<$0 + piece]) }
    }

    /// The characters that depend on the secret alone when `alignment` bytes stand before it in a group of three.
    static func base64(_ value: [UInt8], alignment: Int, isURLSafe: Bool) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8) + Array((isURLSafe ? "-_" : "+/").utf8)
        let bytes = [UInt8](repeating: 0, count: alignment) + value
        let first = (alignment * 8 + 5) / 6
        let end = bytes.count * 8 / 6
        guard first < end else { return [] }
        return (first..<end).map { index in
            let bit = index * 6
            let high = UInt16(bytes[bit / 8]) << 8
            let low = bit / 8 + 1 < bytes.count ? UInt16(bytes[bit / 8 + 1]) : 0
            return alphabet[Int((high | low) >> UInt16(10 - bit % 8) & 63)]
        }
    }

    static func hex(_ value: [UInt8], isUpper: Bool) -> [UInt8] {
        let digits = Array((isUpper ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
        return value.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }

    static func percentEncoded(_ value: [UInt8], isUpper: Bool, spaceAsPlus: Bool, unreserved: ByteSet) -> [UInt8] {
        value.flatMap { byte -> [UInt8] in
            if unreserved.contains(byte) { return [byte] }
            if spaceAsPlus, byte == 0x20 { return [UInt8(ascii: "+")] }
            return [UInt8(ascii: "%")] + hex([byte], isUpper: isUpper)
        }
    }

    /// RFC 8259, section 7, with the short escapes; what is not ASCII stays.
    static func jsonEscaped(_ value: [UInt8], slashes: Bool) -> [UInt8] {
        value.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "/") where slashes: [UInt8(ascii: "\\"), byte]
            case 0x0A: Array(#"\n"#.utf8)
            case 0x0D: Array(#"\r"#.utf8)
            case 0x09: Array(#"\t"#.utf8)
            case 0x08: Array(#"\b"#.utf8)
            case 0x0C: Array(#"\f"#.utf8)
            case 0..<0x20: Array(#"\u00"#.utf8) + hex([byte], isUpper: false)
            default: [byte]
            }
        }
    }

    private static let rfc3986 = ByteSet.alphanumeric.union(ByteSet(of: "-._~"))
    private static let form = ByteSet.alphanumeric.union(ByteSet(of: "*-._"))
    private static let component = rfc3986.union(ByteSet(of: "!*'()"))
    private static let wholeURI = component.union(ByteSet(of: ";,/?:@&=+$#"))
}
