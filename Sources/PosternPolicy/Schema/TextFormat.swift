/// A kind of text that a field takes.
package struct TextFormat: Sendable {
    /// For the reference, such as `absolute path`.
    package var summary: String
    /// A regular expression for the JSON Schema; it may be looser than `canonical`.
    package var pattern: String?
    /// The one spelling of the text, or why it is none of this kind.
    package var canonical: @Sendable (String) throws(PolicyValueError) -> String

    package init(
        _ summary: String, pattern: String? = nil, _ canonical: @escaping @Sendable (String) throws(PolicyValueError) -> String
    ) {
        self.summary = summary
        self.pattern = pattern
        self.canonical = canonical
    }
}

extension TextFormat {
    /// 1 to `most` characters, none of them a control character.
    package static func line(_ summary: String = "text", most: Int) -> TextFormat {
        TextFormat(summary) { text throws(PolicyValueError) in
            guard (1...most).contains(text.unicodeScalars.count) else {
                throw PolicyValueError(value: text, rule: "must have 1 to \(most) characters")
            }
            guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                throw PolicyValueError(value: text, rule: "must hold no control characters")
            }
            return text
        }
    }

    /// A name for a rule, a secret, a forward: lower-case letters, digits, `-`, `_` and dots; 1 to 64 of them, a letter or digit first.
    package static let identifier = TextFormat("name", pattern: "^[a-z0-9][a-z0-9._-]{0,63}$") { text throws(PolicyValueError) in
        let isValid = text.utf8.enumerated().allSatisfy { index, byte in
            byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
                || index > 0 && "-_.".utf8.contains(byte)
        }
        guard (1...64).contains(text.utf8.count), isValid else {
            throw PolicyValueError(
                value: text, rule: "must be a name of 1 to 64 lower-case letters, digits, '-', '_' and dots that begins with a letter or digit")
        }
        return text
    }

    /// The name of an environment variable (POSIX 8.1), and none that would change which programs run or what Postern keeps for itself.
    package static let variable = TextFormat("variable name", pattern: "^[A-Za-z_][A-Za-z0-9_]{0,127}$") { text throws(PolicyValueError) in
        try VariableName.check(text)
        return text
    }

    package static let absolutePath = TextFormat("absolute path", pattern: "^/") { text throws(PolicyValueError) in
        try HostPath(text).description
    }

    package static let pathGlob = TextFormat("path pattern") { text throws(PolicyValueError) in try PathGlob(text).description }

    package static let textGlob = TextFormat("pattern") { text throws(PolicyValueError) in try TextGlob(text).description }

    /// RFC 6901.
    package static let jsonPointer = TextFormat("JSON pointer", pattern: "^(/([^~/]|~[01])*)*$") { text throws(PolicyValueError) in
        try JSONPointer(text).description
    }
}
