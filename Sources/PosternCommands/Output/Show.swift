import PosternJSON

/// Prints resources: as JSON for programs, as a table or as `name: value` lines for people.
package struct Show: Sendable {
    package let terminal: Terminal
    package let asJSON: Bool
    package let idsOnly: Bool

    package init(asJSON: Bool, idsOnly: Bool = false, terminal: Terminal = Terminal()) {
        self.asJSON = asJSON
        self.idsOnly = idsOnly
        self.terminal = terminal
    }

    /// One column of a list: its title and the path of the field, dots between levels.
    package struct Column: Sendable {
        package var title: String
        package var path: String
        package init(_ title: String, _ path: String) {
            self.title = title
            self.path = path
        }
    }

    package func list(_ resources: [JSON], columns: [Column], empty: String) {
        if asJSON { return terminal.print(JSON.array(resources).indented) }
        if idsOnly {
            for resource in resources { terminal.print(resource["id"]?.string ?? "") }
            return
        }
        guard !resources.isEmpty else { return terminal.note(empty) }
        var table = Table(columns.map { $0.title.uppercased() })
        for resource in resources { table.add(columns.map { resource.at($0.path).map(\.plain) ?? "" }) }
        for (index, line) in table.lines.enumerated() { terminal.print(index == 0 ? terminal.styled(line, .bold) : line) }
    }

    /// Every field but those that are empty.
    package func one(_ resource: JSON) {
        if asJSON { return terminal.print(resource.indented) }
        if idsOnly, let id = resource["id"]?.string { return terminal.print(id) }
        guard let object = resource.object else { return terminal.print(resource.plain) }
        let width = object.keys.map(\.count).max() ?? 0
        for (key, value) in object where !value.isEmpty {
            let label = terminal.styled(key + ":" + String(repeating: " ", count: width - key.count), .dim)
            let text = Terminal.visible(value.plain).replacing("\n", with: "\n" + String(repeating: " ", count: width + 2))
            terminal.print("\(label) \(text)")
        }
    }

    /// A sentence for people, and the object for programs.
    package func done(_ sentence: String, _ resource: JSON) {
        if asJSON { return terminal.print(resource.indented) }
        if idsOnly, let id = resource["id"]?.string { return terminal.print(id) }
        terminal.print(sentence)
    }
}

extension JSON {
    /// The value at a path such as `agent.id`; nil when a part is missing.
    func at(_ path: String) -> JSON? {
        var value: JSON? = self
        for part in path.split(separator: ".") { value = value?[String(part)] }
        return value
    }

    var isEmpty: Bool {
        switch self {
        case .null: true
        case .string(let text): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        default: false
        }
    }

    /// As people read it: text without quotes, the rest as compact JSON.
    var plain: String {
        switch self {
        case .null: ""
        case .string(let text): text
        case .array(let elements) where elements.allSatisfy({ $0.string != nil }): elements.compactMap(\.string).joined(separator: ", ")
        default: text
        }
    }

    /// With line feeds and two spaces per level.
    var indented: String { indented(0) }

    private func indented(_ level: Int) -> String {
        let inner = String(repeating: "  ", count: level + 1)
        let outer = String(repeating: "  ", count: level)
        switch self {
        case .array(let elements) where !elements.isEmpty:
            return "[\n" + elements.map { inner + $0.indented(level + 1) }.joined(separator: ",\n") + "\n\(outer)]"
        case .object(let object) where !object.isEmpty:
            return "{\n" + object.map { "\(inner)\(JSON.string($0.key).text): \($0.value.indented(level + 1))" }.joined(separator: ",\n")
                + "\n\(outer)}"
        default: return text
        }
    }
}
