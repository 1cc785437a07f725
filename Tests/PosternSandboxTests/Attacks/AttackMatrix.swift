import PosternJSON

/// What became of every attack in every column.
struct AttackMatrix: Sendable {
    enum Cell: String, Sendable {
        case stopped = "."
        case passed = "X"
        /// It cannot be tried on this machine.
        case absent = "?"
        /// Not run in this column.
        case skipped = " "
    }

    struct Row: Sendable {
        var name: String
        var kind: String
        /// Letters of the columns each of which is to stop it alone; E is the init itself.
        var layers: String
        var cells: [AttackColumn: Cell] = [:]
    }

    var rows: [Row] = []

    /// Two spaces, then one column a layer.
    var text: String {
        var lines = [
            "# Which layer stops which attack when it is the only one. Made by AttackSuite; held against every run of it.",
            "# '.' stopped, 'X' passed, '?' cannot be tried on the machine of this run, ' ' not run in this column.",
        ]
        lines += AttackColumn.allCases.map { "# \($0.letter): \($0.meaning)" }
        lines.append(
            "# class: B boundary, h hardening. by: the layers each of which is to stop the row alone; E is the init itself, which is always there.")
        lines.append(line("row", "class", "by", AttackColumn.allCases.map(\.letter)))
        for row in rows {
            lines.append(line(row.name, row.kind, row.layers, AttackColumn.allCases.map { (row.cells[$0] ?? .skipped).rawValue }))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ name: String, _ kind: String, _ layers: String, _ cells: [String]) -> String {
        func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        var line = padded(name, 26) + padded(kind, 6) + padded(layers, 6)
        for (column, cell) in zip(AttackColumn.allCases, cells) { line += padded(cell, column.letter.count + 1) }
        while line.last == " " { line.removeLast() }
        return line
    }

    /// Cells of a committed text, by row.
    static func cells(of text: String) -> [String: [AttackColumn: Cell]] {
        var found: [String: [AttackColumn: Cell]] = [:]
        var offsets: [AttackColumn: Int] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let characters = Array(line)
            guard let name = line.split(separator: " ").first.map(String.init) else { continue }
            if name == "row" {
                var position = 38
                for column in AttackColumn.allCases {
                    offsets[column] = position
                    position += column.letter.count + 1
                }
                continue
            }
            for (column, offset) in offsets {
                found[name, default: [:]][column] = offset < characters.count ? Cell(rawValue: String(characters[offset])) : .skipped
            }
        }
        return found
    }

    /// Where this matrix and a committed one say different things. A row that passes without any layer on only one of the two machines
    /// says nothing about layers on the other; that none with all layers passes is `escapes`' business.
    func differences(from committed: [String: [AttackColumn: Cell]]) -> [String] {
        var lines: [String] = []
        for row in rows {
            guard let old = committed[row.name] else {
                lines.append("\(row.name) is not in the committed matrix")
                continue
            }
            for (column, cell) in row.cells {
                let before = old[column] ?? .skipped
                guard cell != before, ![cell, before].contains(.absent), column != .none else { continue }
                guard column.hasAllLayers || column == .wide || (row.cells[.none] == .passed && old[.none] == .passed) else { continue }
                lines.append("\(row.name) in \(column.letter): committed '\(before.rawValue)', now '\(cell.rawValue)'")
            }
        }
        let names = Set(rows.map(\.name))
        lines += committed.keys.filter { !names.contains($0) }.sorted().map { "\($0) is in the committed matrix only" }
        return lines
    }

    /// Cells that say that an attack passed although the table gives it to this layer, or although all layers are there.
    var escapes: [String] {
        rows.flatMap { row in
            AttackColumn.allCases.filter { column in
                column != .wide && row.cells[column] == .passed
                    && (column.hasAllLayers || column != .none && row.layers.contains(column.letter) || row.layers.contains("E"))
            }.map { "\(row.name) passes \($0.letter)" }
        }
    }

    func count(_ column: AttackColumn, _ cell: Cell) -> Int { rows.count { $0.cells[column] == cell } }
}
