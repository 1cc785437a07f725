#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Follows a log as it grows, from one file to the next.
package struct AuditTail: Sendable {
    private let path: String
    private var seq: Int

    /// - Parameters:
    ///   - path: of the present file.
    ///   - seq: the last record that is known already.
    package init(path: String, after seq: Int) {
        self.path = path
        self.seq = seq
    }

    /// Hands over every record after the known ones, unchecked, until the task is cancelled.
    package mutating func run(_ record: (AuditLine, [UInt8]) throws -> Void) async throws {
        while let (reader, opened, changes) = try await open() {
            var file = opened
            let known = seq
            try reader.closed(after: known) { try take($0, $1, record) }
            try readMore(&file, record)
            for await _ in changes {
                let isPresent = file.isAt(path)
                try readMore(&file, record)
                if !isPresent { break }
            }
            if Task.isCancelled { return }
        }
    }

    private mutating func readMore(_ file: inout GrowingFile, _ record: (AuditLine, [UInt8]) throws -> Void) throws {
        try file.readMore { bytes in if let line = try? AuditLine(parsing: bytes) { try take(line, bytes, record) } }
    }

    private mutating func take(_ line: AuditLine, _ bytes: [UInt8], _ record: (AuditLine, [UInt8]) throws -> Void) throws {
        guard line.seq > seq else { return }
        seq = line.seq
        try record(line, bytes)
    }

    /// The present file, and a watch on it that was set before its end was looked for. `nil` when the task was cancelled.
    private func open() async throws -> (AuditLogReader, GrowingFile, AsyncStream<Void>)? {
        for _ in 0..<100 {
            if Task.isCancelled { return nil }
            let reader = try AuditLogReader(path)
            do throws(FileError) {
                // The watch is on whatever has the name now: it must still be the file that was opened.
                if let file = reader.openActive(), case let changes = try FileWatch.changes(of: path), file.isAt(path) {
                    return (reader, file, changes)
                }
            } catch { guard error.code == ENOENT else { throw error } }
            // The moment between two files.
            try? await Task.sleep(for: .milliseconds(20))
        }
        throw FileError(action: "follow", path: path, reason: "the file is gone")
    }
}
