#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Brings a chain to its files: the thin shell around `AuditChain`. Every call blocks, and one at a time is made.
struct AuditWriter: Sendable {
    /// Intents that may be open at once in all; beyond it the oldest are closed as unknown.
    static let maximumOpen = 50_000

    private(set) var chain: AuditChain
    private var file: any AuditFile
    private var fileBytes: Int
    /// The disk is full; the reserve is in use.
    private(set) var isFull = false
    private var needsNotice = false
    private var lastCheckpoint: Duration
    private var wantsCheckpoint = false

    private let paths: AuditPaths
    private let disk: any AuditDisk
    private let settings: AuditSettings
    private let clock: AuditClock
    let mirror: MirrorWriter?

    init(
        chain: AuditChain, file: any AuditFile, paths: AuditPaths, disk: any AuditDisk, settings: AuditSettings, clock: AuditClock
    ) throws(FileError) {
        self.chain = chain
        self.file = file
        fileBytes = try file.size
        self.paths = paths
        self.disk = disk
        self.settings = settings
        self.clock = clock
        lastCheckpoint = clock.elapsed()
        mirror = settings.mirrorFolder.map { MirrorWriter(folder: $0, writer: chain.writer, disk: disk) }
    }

    /// A writer at the end of a closed file; it begins the next one.
    init(next chain: AuditChain, paths: AuditPaths, disk: any AuditDisk, settings: AuditSettings, clock: AuditClock) throws(FileError) {
        var chain = chain
        let file = try Self.beginFile(&chain, paths, disk, settings, clock)
        try self.init(chain: chain, file: file, paths: paths, disk: disk, settings: settings, clock: clock)
    }

    /// Appends records in this order; with `durable` they are past the disk's cache when this returns.
    mutating func commit(_ records: [PreparedRecord], durable: Bool) throws(FileError) {
        var bytes: [UInt8] = []
        for prepared in records {
            let record = prepared.record
            if case .sessionStopped = record.kind {
                closeIntents(chain.open.all(session: record.sessionID ?? ""), policy: record.policy, into: &bytes)
            }
            add(chain.append(prepared), to: &bytes)
            if record.kind.wantsCheckpoint { wantsCheckpoint = true }
        }
        try write(bytes, durable: durable)
        if wantsCheckpoint { try checkpoint("record") }
    }

    /// What is due after a commit: a checkpoint, the next file.
    mutating func settle() throws(FileError) {
        if chain.open.count > Self.maximumOpen {
            var bytes: [UInt8] = []
            closeIntents(Array(chain.open.all.prefix(chain.open.count - Self.maximumOpen / 2)), into: &bytes)
            try write(bytes, durable: false)
        }
        if fileBytes >= settings.maximumFileBytes, !isFull { return try rotate() }
        if chain.unsigned >= settings.checkpointRecords {
            try checkpoint("records")
        } else if untilDue == .zero {
            try checkpoint("interval")
        }
    }

    /// Until a checkpoint must be made; `nil` while one covers every record.
    var untilDue: Duration? { chain.unsigned > 0 ? max(.zero, settings.checkpointInterval - (clock.elapsed() - lastCheckpoint)) : nil }

    /// The last records and the last checkpoint.
    mutating func stop(_ records: [PreparedRecord]) throws(FileError) {
        try commit(records, durable: false)
        var bytes: [UInt8] = []
        closeIntents(chain.open.all, into: &bytes)
        try write(bytes, durable: false)
        try checkpoint("stop")
    }

    /// Writes a signed checkpoint and gives up the key that signed it.
    mutating func checkpoint(_ reason: String) throws(FileError) {
        var bytes: [UInt8] = []
        if let failure = mirror?.takeFailure() {
            add(chain.append(record(.gap(what: "a checkpoint could not be mirrored: \(failure)", count: 1))), to: &bytes)
        }
        let line = try chain.checkpoint(time: clock.timestamp(), policy: settings.policy, reason: reason)
        add(line, to: &bytes)
        try write(bytes, durable: true)
        // The log names the next key now. Should this be the last instruction, the key file holds that key already.
        chain.checkpointStored()
        let (path, keys) = (paths.signingKey, chain.keys.encoded)
        try withReserve { (disk: any AuditDisk) throws(FileError) in try disk.replace(path, with: keys, erasing: true) }
        wantsCheckpoint = false
        lastCheckpoint = clock.elapsed()
        mirror?.put(line)
    }

    /// Closes every intent that is open: whether it took effect is not known.
    mutating func closeOrphans() throws(FileError) {
        var bytes: [UInt8] = []
        closeIntents(chain.open.all, into: &bytes)
        try write(bytes, durable: false)
    }

    // MARK: Files

    /// Closes the present file with a checkpoint and begins the next one, which says what it follows.
    private mutating func rotate() throws(FileError) {
        try checkpoint("rotation")
        try disk.rename(paths.active, to: paths.closed(first: chain.fileFirst))
        file = try Self.beginFile(&chain, paths, disk, settings, clock)
        fileBytes = try file.size
    }

    /// Begins a file with the record that joins it to the one before. The file appears with that record in it, or not at all.
    private static func beginFile(
        _ chain: inout AuditChain, _ paths: AuditPaths, _ disk: any AuditDisk, _ settings: AuditSettings, _ clock: AuditClock
    ) throws(FileError) -> any AuditFile {
        try disk.replace(paths.active, with: chain.rotate(time: clock.timestamp(), policy: settings.policy) + [0x0A], erasing: false)
        return try disk.open(paths.active)
    }

    /// A record of the log's own.
    mutating func note(_ kind: AuditRecord.Kind) throws(FileError) { try write(chain.append(record(kind)) + [0x0A], durable: true) }

    /// Ends a line that a crash cut short.
    mutating func endLine() throws(FileError) { try write([0x0A], durable: false) }

    private mutating func write(_ bytes: [UInt8], durable: Bool) throws(FileError) {
        try append(bytes)
        if needsNotice {
            needsNotice = false
            wantsCheckpoint = true
            try append(chain.append(record(.spaceExhausted)) + [0x0A])
        }
        if durable { try file.flush() }
    }

    private mutating func append(_ bytes: [UInt8]) throws(FileError) {
        var written = 0
        defer { fileBytes += written }
        do throws(FileError) {
            try file.append(bytes[...], written: &written)
        } catch {
            // Room is made if that can help, and the rest follows.
            try useReserve(error)
            try file.append(bytes[written...], written: &written)
        }
    }

    private mutating func withReserve(_ body: (any AuditDisk) throws(FileError) -> Void) throws(FileError) {
        do throws(FileError) {
            try body(disk)
        } catch {
            try useReserve(error)
            try body(disk)
        }
    }

    /// Gives the reserved space back to the disk if that can help.
    private mutating func useReserve(_ error: FileError) throws(FileError) {
        guard !isFull, error.code == ENOSPC || error.code == EDQUOT else { throw error }
        (isFull, needsNotice) = (true, true)
        try disk.remove(paths.reserve)
    }

    // MARK: Lines

    /// - Parameter policy: of their session, where it is known.
    private mutating func closeIntents(_ intents: [AuditRecord.OpenIntent], policy: String? = nil, into bytes: inout [UInt8]) {
        for intent in intents {
            var record = record(.unknown(intent))
            record.policy = policy ?? record.policy
            record.sessionID = intent.session.isEmpty ? nil : intent.session
            if intent.kind == .tool { record.callID = intent.id }
            add(chain.append(record), to: &bytes)
        }
    }

    private func record(_ kind: AuditRecord.Kind) -> AuditRecord {
        AuditRecord(time: clock.timestamp(), policy: settings.policy, kind: kind)
    }

    private func add(_ line: [UInt8], to bytes: inout [UInt8]) {
        bytes += line
        bytes.append(0x0A)
    }
}
