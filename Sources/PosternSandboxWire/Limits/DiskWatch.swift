/// When the workspace is measured, and what follows, where no file system enforces its limit: while a command runs, and after one that ran
/// for a while. Measuring takes a twentieth of the time at most. A value without I/O; times are monotonic microseconds.
package struct DiskWatch: Sendable {
    /// What is in a workspace.
    package struct Usage: Sendable, Hashable {
        package var bytes: Int
        package var inodes: Int
        /// A part could not be looked at, or the walk was cut off: there is more.
        package var isComplete: Bool

        package init(bytes: Int, inodes: Int, isComplete: Bool) {
            self.bytes = bytes
            self.inodes = inodes
            self.isComplete = isComplete
        }
    }

    private static let firstLook = 1_000_000
    private static let shortCall = 100_000
    private static let share = 20

    private let bytes: Int?
    private let inodes: Int?
    /// When the next measurement is due; `nil` while none is, or one is under way.
    package private(set) var due: Int?
    private var started: Int?
    private var isAgain = false

    package init(_ limits: SandboxLimits) {
        bytes = limits.diskBytes
        inodes = limits.inodes
    }

    private var isNeeded: Bool { bytes != nil || inodes != nil }

    package mutating func callStarted(at now: Int) {
        guard isNeeded, started == nil else { return }
        due = now + Self.firstLook
    }

    package mutating func callEnded(at now: Int, started begin: Int) {
        guard isNeeded else { return }
        let isWorthIt = now - begin >= Self.shortCall
        if started != nil { isAgain = isAgain || isWorthIt } else { due = isWorthIt ? now : nil }
    }

    /// `true` when a measurement is to start now.
    package mutating func begin(at now: Int) -> Bool {
        guard let due, now >= due else { return false }
        self.due = nil
        started = now
        return true
    }

    /// A measurement has ended; `nil` when it came to nothing. The words for an excess, `nil` when there is none.
    package mutating func measured(_ usage: Usage?, at now: Int, isCallRunning: Bool) -> String? {
        let took = now - (started ?? now)
        started = nil
        if isCallRunning { due = now + max(Self.firstLook, took * Self.share) } else if isAgain { due = now }
        isAgain = false
        guard let usage else { return nil }
        if let bytes, usage.bytes > bytes {
            return "the workspace holds \(ByteText.of(usage.bytes)), more than its limit of \(ByteText.of(bytes))"
        }
        if let inodes, usage.inodes > inodes { return "the workspace holds more files and folders than its limit of \(inodes)" }
        return usage.isComplete ? nil : "the workspace cannot be measured (folders nested deeper than \(Self.deepest), or more than can be counted)"
    }

    /// Folders within folders that are measured.
    package static let deepest = 500
    /// Entries that are measured.
    package var mostEntries: Int { (inodes ?? 5_000_000) + 1 }
}
