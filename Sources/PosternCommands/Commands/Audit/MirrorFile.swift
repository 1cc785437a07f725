import PosternAudit

/// Reads what a mirror holds of a log.
enum MirrorFile {
    /// - Parameter path: of the file, or of the folder in which files are named after their writers.
    static func read(_ path: String, writer: String) throws -> CheckpointMirror {
        let disk = SystemDisk()
        let isFolder = (try? disk.names(in: path)) != nil
        let file = isFolder ? "\(path)/\(writer).checkpoints.jsonl" : path
        var mirror = CheckpointMirror()
        var (splitter, line, failure) = (LineSplitter(), 0, CommandError?.none)
        do {
            let isThere = try disk.read(file) { piece in
                // A last line without its newline is still being written.
                splitter.feed(piece) { bytes in
                    line += 1
                    guard failure == nil else { return }
                    do throws(AuditLine.Malformed) { try mirror.add(bytes) } catch {
                        failure = CommandError(.checkFailed, "the mirror is not good: \(file):\(line): \(error)")
                    }
                }
            }
            guard isThere else {
                let reason = isFolder ? "the mirror holds no checkpoints of writer \(writer) (\(file) is missing)" : "\(file) does not exist"
                throw CommandError(.checkFailed, reason)
            }
        } catch let error as FileError {
            throw CommandError(.failure, error.description)
        }
        if let failure { throw failure }
        return mirror
    }
}
