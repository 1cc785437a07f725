/// A pattern of paths: parts between slashes, in which `*` stands for any run of characters and `?` for one; a part that is `**` stands
/// for any number of parts, none included. Characters are bytes: names need not be UTF-8. `/`, `.` and `..` match nothing by themselves.
package struct PathGlob: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case name([UInt8])
        case anyDepth
    }

    package let text: String
    package let parts: [Part]

    private static let mostParts = 63

    /// `nil` when `text` is no pattern: empty, with an empty, `.` or `..` part, with a zero byte, with more than 63 parts or one of more
    /// than 1,024 bytes. One slash at the end is passed over.
    package init?(_ text: String) {
        var names = text.split(separator: "/", omittingEmptySubsequences: false).map { Array($0.utf8) }
        if names.count > 1, names.last?.isEmpty == true { names.removeLast() }
        guard !names.isEmpty, names.count <= Self.mostParts else { return nil }
        guard names.allSatisfy({ !$0.isEmpty && $0 != [0x2E] && $0 != [0x2E, 0x2E] && !$0.contains(0) && $0.count <= 1024 }) else { return nil }
        self.text = text
        parts = names.map { $0 == [0x2A, 0x2A] ? .anyDepth : .name($0) }
    }

    /// Whether the path with these parts matches.
    package func matches(_ path: [[UInt8]]) -> Bool { isMatch(path.reduce(start, next)) }

    /// Whether something below the path with these parts can match.
    package func canMatchBelow(_ path: [[UInt8]]) -> Bool { canGoOn(path.reduce(start, next)) }

    // MARK: Part by part, for those who walk a tree

    /// How far a path has been read: bit i is set when the first i parts can mean what was read. So many `**` cost no more than their number.
    package struct Progress: Sendable, Hashable {
        fileprivate var states: UInt64
    }

    /// Before the first name.
    package var start: Progress { Progress(states: closed(1)) }

    /// After `name`.
    package func next(_ progress: Progress, _ name: [UInt8]) -> Progress {
        var (left, next) = (progress.states & ~whole, UInt64(0))
        while left != 0 {
            let place = left.trailingZeroBitCount
            left &= left - 1
            switch parts[place] {
            case .anyDepth: next |= 1 << UInt64(place)
            case .name(let pattern): if Self.matches(pattern, name) { next |= 1 << UInt64(place + 1) }
            }
        }
        return Progress(states: closed(next))
    }

    package func isMatch(_ progress: Progress) -> Bool { progress.states & whole != 0 }

    /// Whether a longer path can match.
    package func canGoOn(_ progress: Progress) -> Bool { progress.states & ~whole != 0 }

    private var whole: UInt64 { 1 << UInt64(parts.count) }

    /// `**` may also stand for nothing.
    private func closed(_ states: UInt64) -> UInt64 {
        guard states != 0 else { return 0 }
        var states = states
        for place in states.trailingZeroBitCount..<parts.count where parts[place] == .anyDepth && states & (1 << UInt64(place)) != 0 {
            states |= 1 << UInt64(place + 1)
        }
        return states
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
