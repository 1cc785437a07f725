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
        while !Task.isCancelled {
            // The watch comes before the look, so that nothing is written between them.
            guard let changes = try await watch() else { return }
            let reader = try AuditLogReader(path)
            let known = seq
            try reader.closed(after: known) { try take($0, $1, record) }
            guard var file = reader.openActive() else { continue }
            try readMore(&file, record)
            guard file.isAt(path) else { continue }
            for await _ in changes {
                let isPresent = file.isAt(path)
                try readMore(&file, record)
                if !isPresent { break }
            }
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

    /// `nil` when the task was cancelled.
    private func watch() async throws -> AsyncStream<Void>? {
        // The present file is missing for the moment between two files.
        for _ in 0..<100 where !Task.isCancelled {
            do throws(FileError) { return try FileWatch.changes(of: path) } catch { guard error.code == ENOENT else { throw error } }
            try await Task.sleep(for: .milliseconds(20))
        }
        if Task.isCancelled { return nil }
        throw FileError(action: "follow", path: path, reason: "the file is gone")
    }
}
