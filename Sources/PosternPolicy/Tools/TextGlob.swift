/// A pattern for a whole text: `*` is any run of characters, none too; `?` is one character; a backslash takes the meaning from the
/// `*`, `?` or backslash behind it. Everything else stands for itself; upper and lower case differ. Characters are Unicode scalars.
package struct TextGlob: Sendable, Hashable, CustomStringConvertible {
    private enum Token: Sendable, Hashable {
        case scalar(Unicode.Scalar)
        case one
        case run
    }

    package let description: String
    /// The one text that matches, where the pattern has no wildcard.
    package let plain: String?
    private let tokens: [Token]

    /// 1 to 256 characters.
    package init(_ text: String) throws(PolicyValueError) {
        guard (1...256).contains(text.unicodeScalars.count) else {
            throw PolicyValueError(value: text, rule: "must be a pattern of 1 to 256 characters")
        }
        var tokens: [Token] = []
        var isEscaped = false
        for scalar in text.unicodeScalars {
            if isEscaped {
                guard scalar == "*" || scalar == "?" || scalar == "\\" else {
                    throw PolicyValueError(value: text, rule: "has a backslash before \"\(scalar)\"", remedy: "write \\\\ for a backslash")
                }
                tokens.append(.scalar(scalar))
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else if scalar == "*" {
                if tokens.last != .run { tokens.append(.run) }
            } else {
                tokens.append(scalar == "?" ? .one : .scalar(scalar))
            }
        }
        guard !isEscaped else { throw PolicyValueError(value: text, rule: "ends in a backslash", remedy: "write \\\\ for a backslash") }
        description = text
        plain = Self.plain(tokens)
        self.tokens = tokens
    }

    /// Matches every text.
    static let all = TextGlob(tokens: [.run], description: "*")

    private init(tokens: [Token], description: String) {
        self.tokens = tokens
        self.description = description
        plain = Self.plain(tokens)
    }

    /// Whether the whole of `text` matches. Time is at most the length of the text times that of the pattern; no recursion.
    package func matches(_ text: String) -> Bool {
        // By bytes: Swift's `==` would take two spellings of one accented letter for equal.
        if let plain { return text.utf8.elementsEqual(plain.utf8) }
        let scalars = text.unicodeScalars
        var position = scalars.startIndex
        var token = 0
        var retry: (token: Int, position: String.UnicodeScalarView.Index)?
        while position < scalars.endIndex {
            if token < tokens.count, tokens[token] == .run {
                token += 1
                retry = (token, position)
            } else if token < tokens.count, tokens[token] == .one || tokens[token] == .scalar(scalars[position]) {
                token += 1
                position = scalars.index(after: position)
            } else if let last = retry {
                // Only the last star needs another try: what stood before it has matched in the earliest way.
                position = scalars.index(after: last.position)
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
            guard case .scalar(let scalar) = token else { return nil }
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}
