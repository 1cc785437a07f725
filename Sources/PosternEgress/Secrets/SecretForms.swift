/// The forms in which a secret may come back, each with the same form of its placeholder, which is as long.
enum SecretForms {
    /// Raw, base64 (both alphabets, at each of three alignments), hexadecimal, percent-encoded, and as JSON and HTML escape it.
    static func needles(for secrets: [BoundSecret]) -> [NeedleScanner.Needle] {
        var needles: [NeedleScanner.Needle] = []
        for (owner, secret) in secrets.enumerated() {
            let (value, placeholder) = (secret.value.bytes, Array(secret.placeholder.utf8))
            for form in forms {
                let (bytes, replacement) = (form(value), form(placeholder))
                guard bytes.count == replacement.count, !needles.contains(where: { $0.bytes == bytes }) else { continue }
                needles.append(.init(bytes: bytes, replacement: replacement, owner: owner))
            }
        }
        return needles
    }

    /// Those of the placeholders themselves, to find them where they may not be.
    static func placeholderNeedles(for secrets: [BoundSecret]) -> [NeedleScanner.Needle] {
        var needles: [NeedleScanner.Needle] = []
        for (owner, secret) in secrets.enumerated() {
            for form in forms {
                let bytes = form(Array(secret.placeholder.utf8))
                if !needles.contains(where: { $0.bytes == bytes }) { needles.append(.init(bytes: bytes, replacement: bytes, owner: owner)) }
            }
        }
        return needles
    }

    private static let forms: [@Sendable ([UInt8]) -> [UInt8]] =
        [{ $0 }]
        + (0..<3).flatMap { (shift: Int) -> [@Sendable ([UInt8]) -> [UInt8]] in
            [{ base64($0, shift) }, { base64($0, shift).map { urlSafe[$0] ?? $0 } }]
        }
        + [
            { hexadecimal($0, digits: "0123456789abcdef") }, { hexadecimal($0, digits: "0123456789ABCDEF") },
            { percent($0, digits: "0123456789ABCDEF", all: false) }, { percent($0, digits: "0123456789abcdef", all: false) },
            { percent($0, digits: "0123456789ABCDEF", all: true) }, { percent($0, digits: "0123456789abcdef", all: true) },
            { escaped($0, ["/": "\\/", "\"": "\\\"", "\\": "\\\\"]) }, { escaped($0, ["\"": "\\\"", "\\": "\\\\"]) },
            { escaped($0, ["<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\"": "\\\"", "\\": "\\\\", "'": "\\u0027"]) },
            { escaped($0, ["<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\"": "\\\"", "\\": "\\\\"]) },
            { escaped($0, ["<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "\"": "\\u0022", "\\": "\\\\", "'": "\\u0027", "+": "\\u002B"]) },
            { escaped($0, ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;"]) },
            { escaped($0, ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&#34;", "'": "&#x27;", "/": "&#x2F;"]) },
        ]

    private static let urlSafe: [UInt8: UInt8] = [UInt8(ascii: "+"): UInt8(ascii: "-"), UInt8(ascii: "/"): UInt8(ascii: "_")]

    /// The characters that `bytes` alone decide when `shift` bytes stand before them in a group of three. Up to two characters at each end
    /// mix in bits of the neighbours and cannot be known; they give at most four bits of the secret away.
    private static func base64(_ bytes: [UInt8], _ shift: Int) -> [UInt8] {
        let encoded = Base64.encode(Array(repeating: 0, count: shift) + bytes)
        let start = (8 * shift + 5) / 6
        return Array(encoded[start..<(8 * (shift + bytes.count) / 6)])
    }

    private static func hexadecimal(_ bytes: [UInt8], digits: String) -> [UInt8] {
        let digits = Array(digits.utf8)
        return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }

    private static func percent(_ bytes: [UInt8], digits: String, all: Bool) -> [UInt8] {
        let digits = Array(digits.utf8)
        return bytes.flatMap { byte -> [UInt8] in
            let isPlain = Placeholder.isReplaced(byte) || "-._~".utf8.contains(byte)
            return isPlain && !all ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }

    private static func escaped(_ bytes: [UInt8], _ escapes: [Character: String]) -> [UInt8] {
        bytes.flatMap { byte in escapes[Character(UnicodeScalar(byte))].map { Array($0.utf8) } ?? [byte] }
    }
}
