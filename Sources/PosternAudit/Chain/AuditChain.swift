/// Where a writer's chain stands. A value without I/O: each record that is put at its end gives the bytes of a line, which the caller must
/// bring to the file in that order.
struct AuditChain: Sendable {
    let writer: String
    /// Of the last line.
    private(set) var seq: Int
    private(set) var hash: String
    private(set) var keys: SigningKeys
    private(set) var open: OpenIntents
    /// First `seq` of the present file.
    private(set) var fileFirst: Int
    /// Lines since the last checkpoint.
    private(set) var unsigned: Int

    /// The hash that the first line names.
    static let origin = String(repeating: "0", count: 64)

    /// A new chain with these keys.
    init(keys: SigningKeys) {
        self.keys = keys
        writer = Self.writer(rootKey: keys.currentPublic)
        seq = 0
        hash = Self.origin
        open = OpenIntents()
        fileFirst = 1
        unsigned = 0
    }

    /// The chain that was followed to its end, with the keys that its next checkpoint asks for.
    init?(_ follower: ChainFollower, keys: SigningKeys) {
        guard let writer = follower.writer, follower.nextKey == keys.currentPublic else { return nil }
        self.writer = writer
        self.keys = keys
        seq = follower.seq
        hash = follower.hash
        open = follower.open
        fileFirst = follower.fileFirst
        unsigned = follower.unsigned
    }

    /// A writer is named by its root key, so that nobody else can begin a chain under the same name.
    static func writer(rootKey: String) -> String { String(Hex.sha256(Array(rootKey.utf8)).prefix(16)) }

    /// Puts a record at the end. The line has no newline.
    mutating func append(_ record: AuditRecord) -> [UInt8] { append(PreparedRecord(record, writer: writer)) }

    mutating func append(_ prepared: PreparedRecord) -> [UInt8] {
        open.note(prepared.record, seq: seq + 1)
        let line = prepared.line(seq: seq + 1, previous: hash)
        advance(line)
        return line
    }

    /// Puts a checkpoint at the end. Once its line is on the disk, `checkpointStored` must follow.
    mutating func checkpoint(time: String, policy: String? = nil, reason: String) throws(FileError) -> [UInt8] {
        var checkpoint = AuditRecord.Checkpoint(
            number: keys.used + 1, key: keys.currentPublic, next: keys.nextPublic, reason: reason, signature: "")
        do {
            checkpoint.signature = try keys.sign(next(AuditRecord(time: time, policy: policy, kind: .checkpoint(checkpoint))))
        } catch {
            throw FileError(action: "sign a checkpoint of", path: "the audit log", reason: "\(error)")
        }
        let line = next(AuditRecord(time: time, policy: policy, kind: .checkpoint(checkpoint)))
        advance(line)
        unsigned = 0
        return line
    }

    /// The key that signed is given up; the caller replaces the key file.
    mutating func checkpointStored() { keys = keys.advanced() }

    /// Begins the next file with the record that joins it to the one before.
    mutating func rotate(time: String, policy: String? = nil) -> [UInt8] {
        let rotation = AuditRecord.Rotation(previousFirst: fileFirst, key: keys.currentPublic, checkpoints: keys.used, open: open.all)
        fileFirst = seq + 1
        return append(AuditRecord(time: time, policy: policy, kind: .rotated(rotation)))
    }

    /// The line that a record would be.
    private func next(_ record: AuditRecord) -> [UInt8] { PreparedRecord(record, writer: writer).line(seq: seq + 1, previous: hash) }

    private mutating func advance(_ line: [UInt8]) {
        seq += 1
        hash = Hex.sha256(line)
        unsigned += 1
    }
}
