/// A pattern for a whole text: `*` is any run of characters, none too; `?` is one character; a backslash takes the meaning from the
/// `*`, `?` or backslash behind it. Everything else stands for itself; upper and lower case differ. Characters are Unicode scalars.
package struct TextGlob: Sendable, Hashable, CustomStringConvertible {
    private enum Token: Sendable, Hashable {
        /// A Unicode scalar, or a byte.
        case unit(UInt32)
        case one
        case run
    }

    package let description: String
    /// The one text that matches, where the pattern has no wildcard.
    package let plain: String?
    private let scalars: [Token]
    private let bytes: [Token]

    /// 1 to 256 characters.
    package init(_ text: String) throws(PolicyValueError) {
        guard (1...256).contains(text.unicodeScalars.count) else {
            throw PolicyValueError(value: text, rule: "must be a pattern of 1 to 256 characters")
        }
        scalars = try Self.tokens(text, text.unicodeScalars.map(\.value))
        bytes = try Self.tokens(text, text.utf8.map(UInt32.init))
        description = text
        plain = Self.plain(scalars)
    }

    /// Whether the whole of `text` matches. Time is at most the length of the text times that of the pattern; no recursion.
    package func matches(_ text: String) -> Bool {
        // By bytes: Swift's `==` would take two spellings of one accented letter for equal.
        if let plain { return text.utf8.elementsEqual(plain.utf8) }
        return Self.match(scalars, text.unicodeScalars.map(\.value))
    }

    /// The same for a name of a file, where `?` is one byte, as it is for whoever masks the files: names need not be text.
    package func matches(name: String) -> Bool {
        if let plain { return name.utf8.elementsEqual(plain.utf8) }
        return Self.match(bytes, name.utf8.map(UInt32.init))
    }

    private static func tokens(_ text: String, _ units: [UInt32]) throws(PolicyValueError) -> [Token] {
        let (star, mark, backslash): (UInt32, UInt32, UInt32) = (0x2A, 0x3F, 0x5C)
        var tokens: [Token] = []
        var isEscaped = false
        for unit in units {
            if isEscaped {
                guard unit == star || unit == mark || unit == backslash else {
                    throw PolicyValueError(
                        value: text, rule: "has a backslash before something other than *, ? and \\", remedy: "write \\\\ for a backslash")
                }
                tokens.append(.unit(unit))
                isEscaped = false
            } else if unit == backslash {
                isEscaped = true
            } else if unit == star {
                if tokens.last != .run { tokens.append(.run) }
            } else {
                tokens.append(unit == mark ? .one : .unit(unit))
            }
        }
        guard !isEscaped else { throw PolicyValueError(value: text, rule: "ends in a backslash", remedy: "write \\\\ for a backslash") }
        return tokens
    }

    private static func match(_ tokens: [Token], _ units: [UInt32]) -> Bool {
        var position = 0
        var token = 0
        var retry: (token: Int, position: Int)?
        while position < units.count {
            if token < tokens.count, tokens[token] == .run {
                token += 1
                retry = (token, position)
            } else if token < tokens.count, tokens[token] == .one || tokens[token] == .unit(units[position]) {
                token += 1
                position += 1
            } else if let last = retry {
                // Only the last star needs another try: what stood before it has matched in the earliest way.
                position = last.position + 1
                token = last.token
                retry = (token, position)
            } else {
                return false
            }
        }
        return tokens[token...].allSatisfy { $0 == .run }
    }

    private static func plain(_ tokens: [Token]) -> String? {
        var text = ""
        for token in tokens {
            guard case .unit(let value) = token, let scalar = Unicode.Scalar(value) else { return nil }
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}
