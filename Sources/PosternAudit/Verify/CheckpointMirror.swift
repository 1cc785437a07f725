/// The checkpoints that a mirror holds. They must all stand in the log, at their place and with the same bytes; so a log that was cut short
/// or written anew, even by whoever holds its present keys, does not agree with its mirror.
package struct CheckpointMirror: Sendable {
    package enum Comparison: Sendable, Equatable { case same, differs, absent }

    /// By `seq`, oldest first.
    private var entries: [(seq: Int, hash: String)] = []
    private var next = 0

    package init() {}

    /// Takes a line of the mirror's file, without its newline. A last line that is cut off must be left out.
    package mutating func add(_ bytes: [UInt8]) throws(AuditLine.Malformed) {
        let line = try AuditLine(parsing: bytes)
        guard line.kind == "checkpoint" else { throw AuditLine.Malformed(description: "record \(line.seq) is no checkpoint") }
        if let last = entries.last, line.seq <= last.seq {
            // A line that was copied twice says nothing new.
            if line.seq == last.seq, Hex.sha256(bytes) == last.hash { return }
            throw AuditLine.Malformed(description: "record \(line.seq) stands after record \(last.seq)")
        }
        entries.append((line.seq, Hex.sha256(bytes)))
    }

    package var count: Int { entries.count }

    /// Whether the next one to be found has this place, or an earlier one that was not there.
    func isDue(_ seq: Int) -> Bool { next < entries.count && entries[next].seq <= seq }

    mutating func compare(seq: Int, hash: String) -> Comparison {
        // Of a log whose older files are gone, the older checkpoints are too.
        while next < entries.count, entries[next].seq < seq { next += 1 }
        guard next < entries.count, entries[next].seq == seq else { return .absent }
        defer { next += 1 }
        return entries[next].hash == hash ? .same : .differs
    }

    /// The first one that the log has not reached.
    var firstMissing: (seq: Int, hash: String)? { next < entries.count ? entries[next] : nil }
}
