#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Reads the files of a log in their order, also while its writer goes on. Blocks: for commands, not for a running service.
package struct AuditLogReader: Sendable {
    /// The present file's path.
    package let path: String
    /// The closed files, oldest first.
    package let closed: [(first: Int, path: String)]
    /// Opened at the start, so that a rotation takes nothing away from under the reader.
    private let active: OwnedDescriptor?

    /// - Parameter path: of the present file, or of the folder that holds it as `audit.jsonl`.
    package init(_ path: String) throws(FileError) {
        var status = stat()
        let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        let paths = AuditPaths(active: isFolder ? "\(path)/audit.jsonl" : path)
        self.path = paths.active
        // A file that was closed between the two looks is in the second list, and open under its old name.
        let disk = SystemDisk()
        while true {
            let before = paths.closed(among: try disk.names(in: paths.folder)).last?.first
            let descriptor = open(paths.active, O_RDONLY | O_CLOEXEC)
            if descriptor < 0, errno != ENOENT { throw FileError("open", paths.active) }
            let active = descriptor < 0 ? nil : OwnedDescriptor(descriptor)
            let closed = paths.closed(among: try disk.names(in: paths.folder))
            guard closed.last?.first == before else { continue }
            (self.closed, self.active) = (closed, active)
            break
        }
        guard active != nil || !closed.isEmpty else {
            throw FileError(action: "read", path: paths.active, reason: "there is no such log; name it with --log")
        }
    }

    /// Feeds the whole log to a verifier.
    /// - Parameter record: is handed each good record and its line.
    package func verify(_ options: AuditVerifier.Options = .init(), _ record: (AuditLine, [UInt8]) throws -> Void = { _, _ in }) throws -> AuditReport
    {
        var verifier = AuditVerifier(options)
        for name in closed.map(\.path) + (active == nil ? [] : [path]) where !verifier.isDone {
            verifier.begin(file: name)
            try Self.pieces(try descriptor(name)) { piece in
                var failure: (any Error)?
                verifier.feed(piece) { line, bytes in
                    guard failure == nil else { return }
                    do { try record(line, bytes) } catch { failure = error }
                }
                if let failure { throw failure }
                return verifier.isDone
            }
            verifier.end()
        }
        return verifier.finish()
    }

    /// Hands over the records after `seq` in the closed files, unchecked. Files that end before it are not read.
    package func closed(after seq: Int, _ record: (AuditLine, [UInt8]) throws -> Void) throws {
        for (index, file) in closed.enumerated() where index + 1 == closed.count || closed[index + 1].first > seq + 1 {
            var piece = GrowingFile(try descriptor(file.path))
            try piece.readMore { bytes in if let line = try? AuditLine(parsing: bytes), line.seq > seq { try record(line, bytes) } }
        }
    }

    /// The present file, to be read on as it grows; `nil` in the moment between two files.
    func openActive() -> GrowingFile? { active.map { GrowingFile($0) } }

    /// The last lines of the log that `isWanted` takes, oldest first.
    package func last(_ count: Int, where isWanted: (AuditLine) -> Bool) throws -> [(line: AuditLine, bytes: [UInt8])] {
        var found: [(AuditLine, [UInt8])] = []
        for name in (closed.map(\.path) + (active == nil ? [] : [path])).reversed() where found.count < count {
            var here: [(AuditLine, [UInt8])] = []
            var splitter = LineSplitter()
            try Self.pieces(try descriptor(name)) { piece in
                splitter.feed(piece) { bytes in
                    guard let line = try? AuditLine(parsing: bytes), isWanted(line) else { return }
                    here.append((line, bytes))
                    if here.count > 2 * count { here.removeFirst(here.count - count) }
                }
                return false
            }
            found = Array((here.suffix(count - found.count)) + found)
        }
        return found
    }

    private func descriptor(_ name: String) throws(FileError) -> OwnedDescriptor {
        if name == path, let active { return active }
        let descriptor = open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", name) }
        return OwnedDescriptor(descriptor)
    }

    /// Hands the bytes over until the end, or until the closure returns `true`.
    private static func pieces(_ descriptor: OwnedDescriptor, _ body: (ArraySlice<UInt8>) throws -> Bool) throws {
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var (offset, endsLine, patience) = (off_t(0), true, 20)
        while true {
            let count = pread(descriptor.number, &chunk, chunk.count, offset)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("read", "the audit log")
            }
            if count == 0 {
                // What stands after the last newline is being written, or was left by a crash: a moment tells them apart.
                guard !endsLine, patience > 0 else { return }
                patience -= 1
                usleep(5000)
                continue
            }
            offset += off_t(count)
            endsLine = chunk[count - 1] == 0x0A
            if try body(chunk[..<count]) { return }
        }
    }
}
