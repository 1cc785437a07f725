/// An absolute path of the host in its normal form: no `.`, no `..`, no doubled or trailing slash. It says nothing about links: whoever
/// binds it opens it without following any, or holds the resolved path against the policy again.
package struct HostPath: Sendable, Hashable, CustomStringConvertible {
    package let components: [String]

    init(components: [String]) { self.components = components }

    /// At most 4,096 bytes; control characters, `.` and `..` are refused.
    package init(_ text: String) throws(PolicyValueError) {
        guard text.hasPrefix("/") else {
            throw PolicyValueError(value: text, rule: "must be an absolute path", remedy: "write it from / on; ~ and variables are not expanded")
        }
        guard text.utf8.count <= 4096, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw PolicyValueError(value: text, rule: "must be a path of at most 4096 bytes without control characters")
        }
        let parts = text.split(separator: "/").map(String.init)
        guard !parts.contains("."), !parts.contains("..") else {
            throw PolicyValueError(value: text, rule: "must hold no . and no ..", remedy: "write the path that it leads to")
        }
        components = parts
    }

    /// Whether this is `other` or stands below it. Names are compared by their bytes, as file systems do: two spellings of one accented
    /// letter are two names.
    package func isInside(_ other: HostPath) -> Bool {
        components.count >= other.components.count && zip(components, other.components).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
    }

    package var description: String { "/" + components.joined(separator: "/") }

    /// The fewest paths that stand for the same trees, sorted.
    static func minimal(_ paths: [HostPath]) -> [HostPath] {
        var kept: [HostPath] = []
        for path in paths.sorted(by: { $0.components.lexicographicallyPrecedes($1.components) })
        where !kept.contains(where: { path.isInside($0) }) {
            kept.append(path)
        }
        return kept
    }

    /// The trees that stand in both lists: of two that nest, the inner one.
    static func intersection(_ left: [HostPath], _ right: [HostPath]) -> [HostPath] {
        var both: [HostPath] = []
        for mine in left {
            for theirs in right {
                if mine.isInside(theirs) {
                    both.append(mine)
                } else if theirs.isInside(mine) {
                    both.append(theirs)
                }
            }
        }
        return minimal(both)
    }
}
