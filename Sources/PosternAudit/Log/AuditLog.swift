import PosternJSON
import Synchronization

/// A writer's audit log: hash-chained lines, signed checkpoints, files that follow one another. `docs/audit.md` has the format.
///
/// It fails closed. Once something could not be written every later `append` throws, so that nothing runs unrecorded; a `FileError` that
/// names a `session` stops that session alone.
package final class AuditLog: Sendable {
    package let key: AuditKey
    /// The chain's name, in every record.
    package let writer: String
    /// Hex of the chain's root public key (Ed25519) if this run began the chain: to be shown, so that an operator can pin it.
    package let newRootKey: String?
    private let path: String
    private let clock: AuditClock
    private let settings: AuditSettings
    private let commits: GroupCommit<PreparedRecord>
    private let inside: Inside
    private let lock: any Sendable

    /// What commits, timers and callers share.
    private final class Inside: Sendable {
        /// Taken on the queue of the commits only: callers must not wait for the disk with a thread.
        let writer: Mutex<AuditWriter>
        let flood: Mutex<FloodGuard>
        let isTimerSet = Mutex(false)
        /// Apart from the writer, which is held while the disk is waited for.
        let isFull = Mutex(false)

        init(_ writer: AuditWriter, _ settings: AuditSettings) {
            self.writer = Mutex(writer)
            flood = Mutex(FloodGuard(limits: settings.flood, policy: settings.policy))
        }
    }

    /// Opens or begins the log whose present file has that path (0600). What a crash left is closed and recorded: a line that was cut short,
    /// intents without an outcome. Blocks; for start-up.
    ///
    /// Throws if another writer holds the log, or if it was changed or lacks its keys.
    package init(
        path: String, key: AuditKey, settings: AuditSettings = AuditSettings(), clock: AuditClock = .system, disk: any AuditDisk = SystemDisk()
    ) throws(FileError) {
        let paths = AuditPaths(active: path)
        lock = try disk.lock(paths.lock)
        let opened = try AuditRecovery(paths: paths, disk: disk, settings: settings, clock: clock).open()
        let inside = Inside(opened.writer, settings)
        self.key = key
        self.path = path
        self.clock = clock
        self.settings = settings
        self.inside = inside
        writer = opened.writer.chain.writer
        newRootKey = opened.newRootKey
        commits = GroupCommit(
            path: path,
            commit: { (records: [PreparedRecord], durable: Bool) throws(FileError) in
                let isFull = try inside.writer.withLock { (writer) throws(FileError) in
                    try writer.commit(records, durable: durable)
                    return writer.isFull
                }
                if isFull { inside.isFull.withLock { $0 = true } }
            },
            afterwards: { () throws(FileError) in try inside.writer.withLock { (writer) throws(FileError) in try writer.settle() } })
    }

    /// Returns when the record is on the disk (`durable`), or when the kernel has it; a freeze or a self-test once it is signed as well.
    /// An equal denial within the fold window is only counted.
    package func append(_ record: AuditRecord, durable: Bool) async throws(FileError) {
        do throws(FileError) {
            let fate = try await take(record, durable: durable)
            settings.observe?(record, fate)
        } catch {
            settings.observe?(record, .failed)
            throw error
        }
    }

    private func take(_ record: AuditRecord, durable: Bool) async throws(FileError) -> AuditFate {
        if record.kind.opensWork, inside.isFull.withLock({ $0 }) {
            throw FileError(action: "append to", path: path, reason: "the disk is full; make room and start the worker again")
        }
        let fate: AuditFate
        switch inside.flood.withLock({ $0.admit(record, now: clock.elapsed()) }) {
        case .folded: fate = .folded
        case .write(let records):
            let prepared = prepare(records)
            if let large = prepared.first(where: { $0.bytes > PreparedRecord.maximumBytes }) {
                var error = FileError(
                    action: "append to", path: path,
                    reason: "a record of \(large.bytes) bytes is larger than the \(PreparedRecord.maximumBytes) that one may have")
                error.session = record.sessionID
                throw error
            }
            try await commits.append(prepared, durable: durable)
            fate = .written
        case .refuse(let notice):
            if !notice.isEmpty { try await commits.append(prepare(notice), durable: true) }
            var error = FileError(
                action: "append to", path: path,
                reason: "session \(record.sessionID ?? "") has written the records that one session may (\(settings.flood.burst) at once, "
                    + "\(settings.flood.recordsPerSecond) a second); its work stops")
            error.session = record.sessionID
            throw error
        }
        setTimer()
        return fate
    }

    /// Writes what is pending, closes what is open, signs the end and flushes everything to the disk. Later appends are refused.
    package func finish() async {
        let (inside, writer) = (inside, writer)
        await commits.finish { () throws(FileError) in
            let summaries = inside.flood.withLock { $0.drain() }.map { PreparedRecord($0, writer: writer) }
            try inside.writer.withLock { (writer) throws(FileError) in try writer.stop(summaries) }
        }
        await inside.writer.withLock { $0.mirror }?.finish(clock)
    }

    package func digest(_ purpose: AuditKey.Purpose, of value: JSON) -> AuditRecord.Digest {
        let bytes = value.canonical
        return AuditRecord.Digest(digest: key.digest(purpose, canonical: bytes), bytes: bytes.count)
    }

    private func prepare(_ records: [AuditRecord]) -> [PreparedRecord] { records.map { PreparedRecord($0, writer: writer) } }

    // MARK: Time

    /// One timer runs while there is something that no checkpoint covers, or a denial that was only counted.
    private func setTimer(after delay: Duration? = nil) {
        guard
            inside.isTimerSet.withLock({ isSet in
                defer { isSet = true }
                return !isSet
            })
        else { return }
        clock.after(delay ?? min(settings.checkpointInterval, settings.flood.foldWindow)) { [weak self] in self?.tick() }
    }

    private func tick() {
        let (inside, now, name, window) = (inside, clock.elapsed(), writer, settings.flood.foldWindow)
        inside.isTimerSet.withLock { $0 = false }
        commits.perform { [weak self] () throws(FileError) in
            let (summaries, isCounting) = inside.flood.withLock { ($0.expired(now: now), $0.isCounting) }
            let due = try inside.writer.withLock { (writer) throws(FileError) in
                try writer.commit(summaries.map { PreparedRecord($0, writer: name) }, durable: false)
                try writer.settle()
                return writer.untilDue
            }
            if let next = [due, isCounting ? window : nil].compactMap(\.self).min() { self?.setTimer(after: next) }
        }
    }
}
