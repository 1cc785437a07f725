import PosternJSON

/// Lines that wait for one follower, bounded in number and bytes. When it is full, what comes is counted and not kept; the count stands where
/// the lines would have stood. A value without I/O.
struct DecisionBacklog: Sendable {
    private var lines: [[UInt8]] = []
    private var bytes = 0
    private var missed = 0
    private let mostLines: Int
    private let mostBytes: Int

    init(mostLines: Int = 1000, mostBytes: Int = 1 << 20) {
        self.mostLines = mostLines
        self.mostBytes = mostBytes
    }

    mutating func append(_ line: [UInt8]) {
        // Once lines are missing, only a follower that has taken the others makes place: the count has one place.
        guard missed == 0, lines.count < mostLines, bytes + line.count <= mostBytes else {
            missed += 1
            return
        }
        lines.append(line)
        bytes += line.count
    }

    /// Everything that waits, oldest first, and behind it how many lines are missing.
    mutating func take() -> [UInt8] {
        defer { (lines, bytes, missed) = ([], 0, 0) }
        var all = Array(lines.joined())
        if missed > 0 { all += LocalControlLine.encoded(["type": "missed", "lines": JSON(missed)]) }
        return all
    }
}
