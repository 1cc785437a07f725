/// The forms in which a known secret may come by, wherever it is looked for: in results, in requests, in answers from outside. As it is, in
/// base64 at each of the three alignments (both alphabets), in hex (both cases), escaped for URLs, JSON and HTML.
///
/// All but base64 go byte by byte: two values that differ in letters and digits only, as a secret and its placeholder do, have forms of one
/// length. Base64 has one length for values of one length.
package enum SecretForms {
    /// Makes one form of a value.
    package typealias Form = @Sendable (_ value: [UInt8]) -> [UInt8]

    /// Every form; several may give the same bytes for a value.
    package static let all: [Form] = [{ $0 }] + base64Forms + hexForms + urlForms + jsonForms + htmlForms

    private static let base64Forms: [Form] = [false, true].flatMap { (isURLSafe: Bool) -> [Form] in
        (0..<3).map { alignment -> Form in { base64($0, alignment: alignment, isURLSafe: isURLSafe) } }
    }

    private static let hexForms: [Form] = [{ hex($0, isUpper: false) }, { hex($0, isUpper: true) }]

    private static let urlForms: [Form] = [false, true].flatMap { (isUpper: Bool) -> [Form] in
        [
            { percentEncoded($0, isUpper: isUpper, spaceAsPlus: false, unreserved: rfc3986) },
            { percentEncoded($0, isUpper: isUpper, spaceAsPlus: true, unreserved: form) },
            // JavaScript's encodeURIComponent and encodeURI leave more as it is.
            { percentEncoded($0, isUpper: isUpper, spaceAsPlus: false, unreserved: component) },
            { percentEncoded($0, isUpper: isUpper, spaceAsPlus: false, unreserved: wholeURI) },
            { percentEncoded($0, isUpper: isUpper, spaceAsPlus: false, unreserved: ByteSet()) },
        ]
    }

    private static let jsonForms: [Form] = [
        { jsonEscaped($0, [:]) }, { jsonEscaped($0, [slash: "\\/"]) },
        // Escaped twice: JSON in a string of JSON.
        { jsonEscaped(jsonEscaped($0, [:]), [:]) },
        // As libraries write it that keep JSON harmless within HTML: of Python and Ruby, of Go, of .NET.
        { jsonEscaped($0, [less: "\\u003c", greater: "\\u003e", ampersand: "\\u0026", apostrophe: "\\u0027"]) },
        { jsonEscaped($0, [less: "\\u003c", greater: "\\u003e", ampersand: "\\u0026"]) },
        {
            jsonEscaped(
                $0,
                [less: "\\u003C", greater: "\\u003E", ampersand: "\\u0026", quote: "\\u0022", apostrophe: "\\u0027", UInt8(ascii: "+"): "\\u002B"])
        },
    ]

    private static let htmlForms: [Form] = [
        { replaced($0, [ampersand: "&amp;", less: "&lt;", greater: "&gt;", quote: "&quot;", apostrophe: "&#39;"]) },
        { replaced($0, [ampersand: "&amp;", less: "&lt;", greater: "&gt;", quote: "&#34;", apostrophe: "&#x27;", slash: "&#x2F;"]) },
    ]

    // MARK: Encodings

    /// The characters that depend on the value alone when `alignment` bytes stand before it in a group of three. Up to two characters at each
    /// end mix in bits of the neighbours and cannot be known; they give at most four bits of the value away.
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

    /// RFC 8259, section 7, with the short escapes and those of `more`; what is not ASCII stays.
    static func jsonEscaped(_ value: [UInt8], _ more: [UInt8: String]) -> [UInt8] {
        value.flatMap { byte -> [UInt8] in
            if let escape = more[byte] { return Array(escape.utf8) }
            return switch byte {
            case quote, UInt8(ascii: "\\"): [UInt8(ascii: "\\"), byte]
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

    static func replaced(_ value: [UInt8], _ escapes: [UInt8: String]) -> [UInt8] {
        value.flatMap { byte in escapes[byte].map { Array($0.utf8) } ?? [byte] }
    }

    private static let (quote, apostrophe, slash) = (UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "/"))
    private static let (less, greater, ampersand) = (UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"))

    private static let rfc3986 = ByteSet.alphanumeric.union(ByteSet(of: "-._~"))
    private static let form = ByteSet.alphanumeric.union(ByteSet(of: "*-._"))
    private static let component = rfc3986.union(ByteSet(of: "!*'()"))
    private static let wholeURI = component.union(ByteSet(of: ";,/?:@&=+$#"))
}
