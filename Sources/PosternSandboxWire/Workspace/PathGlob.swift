/// A pattern of paths: parts between slashes, in which `*` stands for any run of characters and `?` for one; a part that is `**` stands
/// for any number of parts, none included. Characters are bytes: names need not be UTF-8. `/`, `.` and `..` match nothing by themselves.
package struct PathGlob: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case name([UInt8])
        case anyDepth
    }

    package let text: String
    package let parts: [Part]

    /// `nil` when `text` is no pattern: empty, with an empty, `.` or `..` part, or with a zero byte. One slash at the end is passed over.
    package init?(_ text: String) {
        var names = text.split(separator: "/", omittingEmptySubsequences: false).map { Array($0.utf8) }
        if names.count > 1, names.last?.isEmpty == true { names.removeLast() }
        guard !names.isEmpty, names.count <= 64 else { return nil }
        guard names.allSatisfy({ !$0.isEmpty && $0 != [0x2E] && $0 != [0x2E, 0x2E] && !$0.contains(0) && $0.count <= 255 }) else { return nil }
        self.text = text
        parts = names.map { $0 == [0x2A, 0x2A] ? .anyDepth : .name($0) }
    }

    /// Whether the path with these parts matches.
    package func matches(_ path: [[UInt8]]) -> Bool {
        states(after: path).contains(parts.count)
    }

    /// Whether something below the path with these parts can match.
    package func canMatchBelow(_ path: [[UInt8]]) -> Bool {
        states(after: path).contains { $0 < parts.count }
    }

    /// The places in `parts` where a match of the whole path can stand: a set, so that many `**` cost no more than their number.
    private func states(after path: [[UInt8]]) -> Set<Int> {
        var states = closure([0])
        for name in path {
            var next: Set<Int> = []
            for state in states where state < parts.count {
                switch parts[state] {
                case .anyDepth: next.insert(state)
                case .name(let pattern): if Self.matches(pattern, name) { next.insert(state + 1) }
                }
            }
            states = closure(next)
        }
        return states
    }

    private func closure(_ states: Set<Int>) -> Set<Int> {
        var all = states
        for var state in states {
            while state < parts.count, parts[state] == .anyDepth {
                state += 1
                all.insert(state)
            }
        }
        return all
    }

    /// One part; linear in practice, at worst the product of both lengths.
    private static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        var (place, at) = (0, 0)
        var star: (place: Int, at: Int)?
        while at < name.count {
            if place < pattern.count, pattern[place] == 0x2A {
                star = (place, at)
                place += 1
            } else if place < pattern.count, pattern[place] == 0x3F || pattern[place] == name[at] {
                place += 1
                at += 1
            } else if let last = star {
                star = (last.place, last.at + 1)
                place = last.place + 1
                at = last.at + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == 0x2A }
    }
}
