import PosternJSON

/// Checks a log that is fed to it file by file, piece by piece, and names the first bad record. A value without I/O; what it keeps does not
/// grow with the log, only with the mirror (some 100 bytes a checkpoint).
package struct AuditVerifier: Sendable {
    package struct Options: Sendable {
        /// The pinned root public key, hex. Without it a whole chain that was made anew is taken for the log.
        package var rootKey: String?
        package var mirror: CheckpointMirror?
        /// Older files may be missing. The log is then good from where it begins, and nothing is said of what was before.
        package var allowsPartial = false

        package init(rootKey: String? = nil, mirror: CheckpointMirror? = nil, allowsPartial: Bool = false) {
            self.rootKey = rootKey
            self.mirror = mirror
            self.allowsPartial = allowsPartial
        }
    }

    private let options: Options
    private var follower: ChainFollower
    private var report = AuditReport()
    private var mirror: CheckpointMirror?
    private var splitter = LineSplitter()
    private var file = ""
    private var line = 0
    /// Of the file before, for a fault in its last line that shows only in the next file.
    private var before: (file: String, lines: Int) = ("", 0)

    package init(_ options: Options = Options()) {
        self.options = options
        follower = ChainFollower(allowsPartial: options.allowsPartial)
        mirror = options.mirror
        report.mirrored = mirror == nil ? nil : 0
    }

    /// Whether a text has the form of a root public key.
    package static func isRootKey(_ text: String) -> Bool { Hex.decode(text, count: 32) != nil }

    /// Whether anything wrong was found; what is fed after that is not looked at.
    package var isDone: Bool { report.finding != nil }

    /// The files come in the order of the chain.
    package mutating func begin(file name: String) {
        before = (file, line)
        (file, line) = (name, 0)
        report.files += 1
        splitter = LineSplitter()
    }

    package mutating func feed(_ piece: ArraySlice<UInt8>) { feed(piece) { _, _ in } }

    /// - Parameter record: is handed each good record and its line.
    package mutating func feed(_ piece: ArraySlice<UInt8>, _ record: (AuditLine, [UInt8]) -> Void) {
        var splitter = splitter
        splitter.feed(piece) { if let line = take($0) { record(line, $0) } }
        self.splitter = splitter
    }

    /// The end of the present file.
    package mutating func end() {
        guard report.finding == nil else { return }
        if !splitter.rest.isEmpty {
            line += 1
            return found(line, follower.seq + 1, "the last line is cut off: by a crash that no start of the writer has closed yet, or by hand")
        }
        if let fragment = follower.fragment { found(line - fragment.lines + 1, follower.seq + 1, fragment.reason) }
    }

    package mutating func finish() -> AuditReport {
        if report.finding == nil, report.files == 0 || follower.writer == nil { found(0, nil, "there is no record") }
        if report.finding == nil, let missing = mirror?.firstMissing {
            found(
                0, missing.seq,
                "the mirror holds a checkpoint that is record \(missing.seq), and the log ends with record \(follower.seq): its end was cut off")
        }
        (report.writer, report.rootKey, report.lastSeq, report.lastHash) = (follower.writer, follower.rootKey, follower.seq, follower.hash)
        (report.checkpoints, report.unsigned, report.open) = (follower.checkpoints, follower.unsigned, follower.open.count)
        return report
    }

    private mutating func take(_ bytes: [UInt8]) -> AuditLine? {
        guard report.finding == nil else { return nil }
        line += 1
        do throws(ChainFollower.Fault) {
            guard let record = try follower.follow(bytes) else { return nil }
            if let reason = outside(record, bytes) { throw ChainFollower.Fault(linesBack: 0, seq: record.seq, what: reason) }
            count(record)
            return record
        } catch {
            found(line - error.linesBack, error.seq, error.what)
            return nil
        }
    }

    /// What does not fit to things outside of the log: the pinned key, the mirror, the file's place.
    private mutating func outside(_ record: AuditLine, _ bytes: [UInt8]) -> String? {
        if line == 1, report.files > 1, record.kind != "rotation" { return "the file does not begin with a rotation" }
        if line > 1, record.kind == "rotation" { return "a rotation stands only at the beginning of a file" }
        if record.kind == "genesis", let pinned = options.rootKey {
            guard follower.rootKey == pinned else { return "the root key is \(follower.rootKey ?? "") and not the pinned \(pinned)" }
            report.isPinned = true
        }
        guard record.kind == "checkpoint" || mirror?.isDue(record.seq) == true else { return nil }
        switch mirror?.compare(seq: record.seq, hash: follower.hash) {
        case .same: report.mirrored? += 1
        case .differs: return "the record differs from the checkpoint that the mirror holds: the log was written anew"
        case .absent, nil: break
        }
        return nil
    }

    private mutating func count(_ record: AuditLine) {
        report.records += 1
        report.kinds[record.kind, default: 0] += 1
        if record.kind == "torn_tail" { report.tornTails += 1 }
        if record.kind == "unknown" { report.unknown += 1 }
        if report.firstTime == nil { report.firstTime = record.time }
        report.lastTime = record.time
    }

    private mutating func found(_ line: Int, _ seq: Int?, _ what: String) {
        guard report.finding == nil else { return }
        if line < 1, !before.file.isEmpty, self.line > 0 {
            report.finding = AuditFinding(file: before.file, line: max(1, before.lines + line), seq: seq, what: what)
        } else {
            report.finding = AuditFinding(file: file, line: max(0, line), seq: seq, what: what)
        }
    }
}
