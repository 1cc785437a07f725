/// One thing that is wrong in a policy document, said like a compiler's message.
package struct PolicyProblem: Sendable, Hashable, CustomStringConvertible {
    package var place: SourcePlace
    /// The field; empty for the whole document.
    package var path: String
    /// The value as it was written; `nil` where none was.
    package var value: String?
    /// What is demanded of it, or what is wrong with it.
    package var rule: String
    /// What to write instead; may be empty.
    package var remedy: String

    package init(at place: SourcePlace, path: String, value: String? = nil, rule: String, remedy: String = "") {
        self.place = place
        self.path = path
        self.value = value
        self.rule = rule
        self.remedy = remedy
    }

    /// `file:line:column: error: field: "value" rule; remedy`, in one printable line.
    package var description: String {
        var text = "\(printable(place.file)):\(place.line):\(place.column): error: "
        if !path.isEmpty { text += "\(printable(path)): " }
        if let value { text += "\"\(printable(value))\" " }
        text += rule
        if !remedy.isEmpty { text += "; \(remedy)" }
        return text
    }
}

/// All that is wrong in one document or one folder of them, in the order of the text.
package struct PolicyProblems: Error, Sendable, Hashable, CustomStringConvertible {
    package var problems: [PolicyProblem]

    package init(_ problems: [PolicyProblem]) { self.problems = problems }

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}
