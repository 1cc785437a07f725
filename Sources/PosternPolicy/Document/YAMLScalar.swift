/// The meaning of a plain scalar by the core schema of YAML 1.2 (section 10.3.2), less octal, hexadecimal, infinity and not-a-number,
/// which no field of a policy takes.
enum YAMLScalar {
    static func value(of text: String) -> PolicyNode.Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .boolean(true)
        case "false", "False", "FALSE": return .boolean(false)
        default: break
        }
        guard let first = text.utf8.first, first == UInt8(ascii: "-") || isDigit(first) else { return .text(text) }
        let body = first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard let digit = body.first, isDigit(digit), body.allSatisfy({ isDigit($0) || ".eE+-".utf8.contains($0) }) else { return .text(text) }
        if body.allSatisfy(isDigit) { return Int(text).map(PolicyNode.Value.integer) ?? .text(text) }
        guard let number = Double(text), number.isFinite else { return .text(text) }
        return .decimal(number)
    }

    /// Whether `text` can stand without quotes and is then read as this very text.
    static func isPlainText(_ text: String) -> Bool {
        guard let first = text.utf8.first, case .text = value(of: text) else { return false }
        let isLetter = first | 0x20 >= UInt8(ascii: "a") && first | 0x20 <= UInt8(ascii: "z")
        guard isLetter || first == UInt8(ascii: "/") || first == UInt8(ascii: ".") || isDigit(first) else { return false }
        // What YAML 1.1 readers take for booleans.
        guard !["yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) else { return false }
        return text.utf8.allSatisfy { byte in
            isDigit(byte) || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || "/._-@+%=".utf8.contains(byte)
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
