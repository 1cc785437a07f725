/// When what a session keeps on the disk is measured, and what follows, where no file system enforces its limit: for as long as anything of it
/// runs, in a call or after one. A measurement is repeated when twenty times its own time has gone by, or sooner if the file system has lost the
/// space that was left to the session. A value without I/O; times are monotonic microseconds.
package struct DiskWatch: Sendable {
    /// What a session keeps on the disk.
    package struct Usage: Sendable, Hashable {
        package var bytes: Int
        package var inodes: Int
        /// A part could not be looked at, or the walk was cut off: there is more.
        package var isComplete: Bool
        /// Of `bytes`, those of files that have no name any more and are still open.
        package var deletedBytes: Int
        /// A program keeps something that may be a file and cannot be measured.
        package var hasHidden: Bool
        /// What is used of the file system, by whomever, when the measurement began.
        package var volumeBytes: Int

        package init(bytes: Int, inodes: Int, isComplete: Bool, deletedBytes: Int = 0, hasHidden: Bool = false, volumeBytes: Int = 0) {
            self.bytes = bytes
            self.inodes = inodes
            self.isComplete = isComplete
            self.deletedBytes = deletedBytes
            self.hasHidden = hasHidden
            self.volumeBytes = volumeBytes
        }
    }

    /// What is to be done at a look.
    package enum Look: Sendable, Hashable {
        case measure, wait
    }

    private static let pace = 1_000_000
    private static let slowestPace = 4_000_000
    private static let shortCall = 100_000
    private static let share = 20
    private static let hastyShare = 3

    private let bytes: Int?
    private let inodes: Int?
    /// When the next look is due; `nil` where there is no limit, or while a measurement is under way.
    package private(set) var due: Int?
    private var interval = DiskWatch.pace
    /// When a measurement is due anyway, and before when none is.
    private var (measureFrom, notBefore) = (0, 0)
    private var isMeasuring = false
    private var isAgain = false
    private var last: Usage?
    /// The last measurement that nothing was hidden from; at first the start, of which only the file system is known.
    private var lastClear: Usage

    /// - Parameter volumeBytes: what is used of the file system now.
    package init(_ limits: SandboxLimits, at now: Int, volumeBytes: Int) {
        bytes = limits.diskBytes
        inodes = limits.inodes
        lastClear = Usage(bytes: 0, inodes: 0, isComplete: true, volumeBytes: volumeBytes)
        if isNeeded { due = now + Self.pace }
    }

    private var isNeeded: Bool { bytes != nil || inodes != nil }

    package mutating func callStarted(at now: Int) {
        guard isNeeded else { return }
        interval = Self.pace
        if let due { self.due = min(due, now + Self.pace) }
    }

    package mutating func callEnded(at now: Int, started begin: Int) {
        guard isNeeded else { return }
        interval = Self.pace
        // What a short call did is seen a second later, together with that of others.
        guard now - begin >= Self.shortCall else { return }
        measureFrom = min(measureFrom, now)
        if isMeasuring { isAgain = true } else { due = max(now, notBefore) }
    }

    /// A look is due and finds that nothing of the session has run since the last measurement began.
    /// - Parameter isAlone: there is nothing but a shell that waits for its next call.
    package mutating func rested(at now: Int, isAlone: Bool) {
        interval = isAlone ? min(interval * 2, Self.slowestPace) : Self.pace
        due = now + interval
    }

    /// A look is due and finds that something has run.
    /// - Parameter volumeBytes: what is used of the file system now.
    package mutating func look(at now: Int, volumeBytes: Int) -> Look {
        interval = Self.pace
        guard now >= measureFrom || now >= notBefore && hasLost(volumeBytes) else {
            due = now + Self.pace
            return .wait
        }
        due = nil
        isMeasuring = true
        return .measure
    }

    /// The file system has lost more since the last measurement than was left to the session.
    private func hasLost(_ volumeBytes: Int) -> Bool {
        guard let last, let bytes else { return false }
        return volumeBytes - last.volumeBytes > bytes - last.bytes
    }

    /// A measurement has ended. The words for an excess, `nil` when there is none.
    /// - Parameter took: the time that it needed, without that of what went on beside it.
    package mutating func measured(_ usage: Usage, at now: Int, took: Int) -> String? {
        isMeasuring = false
        measureFrom = isAgain ? now : now + took * Self.share
        notBefore = now + took * Self.hastyShare
        due = isAgain ? notBefore : now + Self.pace
        isAgain = false
        // Taken for what the workspace held before: it explains nothing that the file system has lost since the start.
        if last == nil { lastClear.bytes = usage.bytes }
        last = usage
        defer { if !usage.hasHidden { lastClear = usage } }
        return excess(of: usage)
    }

    private func excess(of usage: Usage) -> String? {
        if let bytes, usage.bytes > bytes {
            let deleted = usage.deletedBytes > 0 ? " (\(ByteText.of(usage.deletedBytes)) of it in deleted files that are still open)" : ""
            return "the workspace holds \(ByteText.of(usage.bytes))\(deleted), more than its limit of \(ByteText.of(bytes))"
        }
        if let inodes, usage.inodes > inodes { return "the workspace holds more files and folders than its limit of \(inodes)" }
        guard usage.isComplete else {
            return "the workspace cannot be measured (folders nested deeper than \(Self.deepest), or more than can be counted)"
        }
        guard let bytes, usage.hasHidden else { return nil }
        let unseen = usage.volumeBytes - lastClear.volumeBytes - (usage.bytes - lastClear.bytes)
        guard unseen > 0, usage.bytes + unseen > bytes else { return nil }
        return "a program keeps files that cannot be measured, the file system has lost \(ByteText.of(unseen)) since, and the limit of the workspace"
            + " is \(ByteText.of(bytes))"
    }

    /// Folders within folders that are measured.
    package static let deepest = 500
    /// Entries that are measured.
    package var mostEntries: Int { (inodes ?? 5_000_000) + 1 }
}
