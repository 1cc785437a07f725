/// Levenshtein distance: the least number of insertions, deletions and replacements.
package enum EditDistance {
    package static func between(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var row = Array(0...right.count)
        for (index, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let next = min(row[column] + 1, row[column + 1] + 1, diagonal + (right[column] == character ? 0 : 1))
                diagonal = row[column + 1]
                row[column + 1] = next
            }
        }
        return row[right.count]
    }

    /// `did you mean "x"?` for the nearest of `names`, or an empty text where none is near.
    package static func suggestion(for text: String, among names: [String]) -> String {
        guard text.count <= 64 else { return "" }
        let near = names.map { ($0, between($0, text)) }.min { $0.1 < $1.1 }
        guard let near, near.1 <= max(1, min(3, text.count / 2)) else { return "" }
        return "did you mean \"\(near.0)\"?"
    }
}
