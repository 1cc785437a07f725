/// The tail of a match while it goes on: a value that reads one byte after the other.
struct RunningTail: Sendable {
    let needle: Int32
    let rule: Int
    private let tail: PatternTail
    private var read = 0
    /// Bytes of the end mark that stand at the end of what was read.
    private var matched = 0
    private(set) var isOver = false

    init(_ tail: PatternTail, needle: Int32, rule: Int) {
        self.tail = tail
        self.needle = needle
        self.rule = rule
    }

    /// Whether the byte belongs to the match.
    mutating func advance(_ byte: UInt8) -> Bool {
        switch tail {
        case .whileIn(let set):
            isOver = !set.contains(byte)
            return !isOver
        case .through(let mark, let limit):
            read += 1
            // The longest beginning of the mark that now stands at the end.
            while matched > 0, mark[matched] != byte { matched = Self.border(mark, matched) }
            if mark[matched] == byte { matched += 1 }
            isOver = matched == mark.count || read >= limit
            return true
        }
    }

    /// Length of the longest proper beginning of `mark[..<length]` that is also its end.
    private static func border(_ mark: [UInt8], _ length: Int) -> Int {
        var candidate = length - 1
        while candidate > 0, mark[..<candidate] != mark[(length - candidate)..<length] { candidate -= 1 }
        return candidate
    }
}
