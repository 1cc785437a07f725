/// An absolute path as Seatbelt compares it: without links, without `.` and `..`.
struct SeatbeltPath: Sendable, Hashable {
    let text: String

    /// The three folders that are links on every macOS are resolved here; every other link the caller must have resolved.
    init(_ text: String, _ field: String) throws(SeatbeltError) {
        func failure(_ rule: String) -> SeatbeltError { SeatbeltError(field: field, value: text, rule: rule) }
        guard text.hasPrefix("/") else { throw failure("must be an absolute path") }
        guard text.utf8.count <= 1_024 else { throw failure("is longer than the 1,024 bytes of a path") }
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw failure("holds a control character, which no rule can name")
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard parts.allSatisfy({ $0 != "." && $0 != ".." }) else { throw failure("must not hold '.' or '..'") }
        guard !parts.contains("") else { throw failure("must not be '/', end in '/' or hold '//'") }
        let isLink = ["tmp", "var", "etc"].contains(parts.first)
        self.text = (isLink ? "/private" : "") + text
    }

    private init(trusted text: String) { self.text = text }

    var quoted: String { SeatbeltText.quoted(text) }

    /// The folders above, the outermost first, without the root.
    var ancestors: [SeatbeltPath] {
        var path = ""
        return text.split(separator: "/").dropLast().map { part in
            path += "/" + part
            return SeatbeltPath(trusted: path)
        }
    }
}

/// A pattern below the workspace: `*` and `?` stay within a name, `**` crosses folders.
struct SeatbeltPattern: Sendable {
    /// `(regex …)`: what the pattern names, and everything below it.
    let filter: String
    /// Filters for the folders between the workspace and what the pattern names, as far as their names are fixed.
    let folders: [String]

    init(_ pattern: String, below workspace: SeatbeltPath, _ field: String) throws(SeatbeltError) {
        func failure(_ rule: String) -> SeatbeltError { SeatbeltError(field: field, value: pattern, rule: rule) }
        guard !pattern.isEmpty, !pattern.hasPrefix("/"), !pattern.hasSuffix("/") else {
            throw failure("must be a pattern below the workspace, without '/' at its ends")
        }
        guard pattern.utf8.count <= 1_024, pattern.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw failure("is longer than 1,024 bytes or holds a control character")
        }
        let parts = pattern.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !["", ".", ".."].contains($0) }) else { throw failure("must not hold '//', '.' or '..'") }
        guard parts.allSatisfy({ $0 == "**" || !$0.contains("**") }) else { throw failure("must have '**' as a whole name") }
        var expression = "^" + Self.escaped(workspace.text)
        for (index, part) in parts.enumerated() {
            if part == "**" {
                // Zero or more folders; at the end, everything below.
                expression += index == parts.count - 1 ? "/.+" : "(/[^/]+)*"
            } else {
                expression += "/" + Self.name(part)
            }
        }
        filter = "(regex \(SeatbeltText.quoted(expression + "(/.*)?$")))"
        // After the first name that is not fixed nothing more can be said.
        var folder = workspace.text
        folders = parts.dropLast().prefix { part in !part.contains { "*?".contains($0) } }.map { part in
            folder += "/" + part
            return "(literal \(SeatbeltText.quoted(folder)))"
        }
    }

    private static func name(_ part: Substring) -> String {
        part.map { character in
            switch character {
            case "*": "[^/]*"
            case "?": "[^/]"
            default: escaped(String(character))
            }
        }.joined()
    }

    /// POSIX extended regular expressions: what means something is escaped.
    private static func escaped(_ text: String) -> String {
        text.map { "\\^$.|?*+()[]{}".contains($0) ? "\\\($0)" : String($0) }.joined()
    }
}
