/// Puts the lines of a profile together.
struct SeatbeltText {
    private(set) var text = ""

    mutating func line(_ line: String) { text += line + "\n" }

    mutating func lines(_ lines: [String]) {
        for line in lines { self.line(line) }
    }

    mutating func section(_ comment: String) { text += "\n; \(comment)\n" }

    /// One rule with its filters, one a line. Without filters there is no rule: to Seatbelt it would hold for everything.
    mutating func rule(_ head: String, _ filters: [String]) {
        if filters.isEmpty { return }
        line("(\(head)")
        for (index, filter) in filters.enumerated() { line("    \(filter)" + (index == filters.count - 1 ? ")" : "")) }
    }

    /// A string of the profile language: a backslash and a quotation mark are escaped, control characters have been refused.
    static func quoted(_ text: String) -> String {
        "\"" + text.map { $0 == "\\" || $0 == "\"" ? "\\\($0)" : String($0) }.joined() + "\""
    }
}
