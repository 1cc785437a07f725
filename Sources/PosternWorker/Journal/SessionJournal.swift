import PosternAudit
import PosternJSON
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// One session's journal on the disk: a file of JSON lines with mode 0600 in the worker's state folder. What it holds survives a
/// killed worker; an intent also survives a power failure.
final class SessionJournal: Sendable {
    private let file: AppendOnlyFile
    private let path: String
    private let state: Mutex<JournalState>

    /// Reads what is there, writes it anew in its shortest form and opens it for more. Blocks: call it through `Blocking`.
    init(path: String) throws(FileError) {
        let known = try Self.read(path) ?? JournalState()
        var bytes: [UInt8] = []
        for record in known.records { bytes += record.json.encoded + [0x0A] }
        try SmallFile.write(bytes, to: path)
        file = try AppendOnlyFile(path: path)
        self.path = path
        state = Mutex(known)
    }

    var known: JournalState { state.withLock { $0 } }

    func append(_ record: JournalRecord) async throws(FileError) {
        var durable = false
        if case .intent = record { durable = true }
        try await file.append(record.json.encoded, durable: durable)
        state.withLock { $0.apply(record) }
    }

    /// Removes the file if nothing in it is needed any more. Blocks.
    func removeIfSpent() { if known.isSpent { unlink(path) } }

    /// Removes it whatever it holds: its session is gone. Blocks.
    func remove() { unlink(path) }

    /// The state that a file describes; `nil` for no file. A last line that a crash cut short counts for nothing: it was not durable,
    /// so nothing that depended on it was done. Blocks.
    static func read(_ path: String) throws(FileError) -> JournalState? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw FileError("open", path)
        }
        defer { close(descriptor) }
        let bytes = try SmallFile.readAll(descriptor, path, limit: 1 << 30)
        var state = JournalState()
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty {
            guard let json = try? JSON(parsing: line), let record = JournalRecord(json) else {
                if index == lines.count - 1 { continue }
                throw FileError(action: "read", path: path, reason: "line \(index + 1) is not a journal record")
            }
            state.apply(record)
        }
        return state
    }
}
