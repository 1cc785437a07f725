import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The worker's audit log: one line per record, appended, never changed.
package final class AuditLog: Sendable {
    package let key: AuditKey
    private let file: AppendOnlyFile

    /// Opens or creates the log (0600). A last line that a crash cut short is closed with a newline, so it stays visible as what it is.
    /// Blocks; for start-up.
    package init(path: String, key: AuditKey) throws(FileError) {
        try Self.closeTornLine(path)
        file = try AppendOnlyFile(path: path)
        self.key = key
    }

    /// Returns when the record is on the disk (`durable`), or when the kernel has it.
    package func append(_ record: AuditRecord, durable: Bool) async throws(FileError) {
        try await file.append(record.line, durable: durable)
    }

    /// Flushes everything to the disk.
    package func finish() async { await file.finish() }

    package func digest(_ purpose: AuditKey.Purpose, of value: JSON) -> AuditRecord.Digest {
        let bytes = value.canonical
        return AuditRecord.Digest(digest: key.digest(purpose, canonical: bytes), bytes: bytes.count)
    }
}

extension AuditLog {
    fileprivate static func closeTornLine(_ path: String) throws(FileError) {
        let descriptor = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw FileError("open", path)
        }
        defer { close(descriptor) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end > 0 else { return }
        var last: UInt8 = 0
        guard pread(descriptor, &last, 1, end - 1) == 1 else { throw FileError("read", path) }
        if last != 0x0A {
            var newline: UInt8 = 0x0A
            guard write(descriptor, &newline, 1) == 1 else { throw FileError("write", path) }
        }
    }
}
