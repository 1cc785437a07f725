/// How a log is kept.
package struct AuditSettings: Sendable {
    /// Size at which the present file is closed and the next one begun, bytes. The last batch may reach beyond it.
    package var maximumFileBytes = 16 << 20
    /// Records after which a checkpoint is made. A checkpoint costs about three flushes of the disk.
    package var checkpointRecords = 1000
    /// Longest time that a record stays without a checkpoint. Nothing is made while nothing happens.
    package var checkpointInterval: Duration = .seconds(60)
    /// Disk space kept for the records that tell how work ended when the disk is full, bytes.
    package var reserveBytes = 1 << 20
    /// Folder, best on another machine's file system, that gets a copy of each checkpoint. It must exist.
    package var mirrorFolder: String?
    /// Digest of the policies that the worker was started with, for the records of no session and those of a session without a policy.
    package var policy: String?
    package var flood = FloodLimits()
    /// Told of each record that was given to the log and what became of it, on the task that gave it: it must not wait. What the log says
    /// of itself (checkpoints, files, counts of folded denials) is not among it.
    package var observe: (@Sendable (AuditRecord, AuditFate) -> Void)?

    package init() {}
}

/// What became of a record.
package enum AuditFate: Sendable, Hashable {
    case written
    /// An equal denial, only counted.
    case folded
    /// Not taken: what it was to announce must not happen.
    case failed
}

/// What one session may write.
package struct FloodLimits: Sendable {
    /// Records that a session may write at once; so many again are gained over time at `recordsPerSecond`.
    package var burst = 20_000
    package var recordsPerSecond = 100
    /// Time within which equal denials are counted and not written.
    package var foldWindow: Duration = .seconds(60)
    /// Different denials of one session that are told apart within that time; further ones are counted together.
    package var distinctDenials = 128
    /// Sessions that are told apart at once.
    package var sessions = 10_000

    package init() {}
}
