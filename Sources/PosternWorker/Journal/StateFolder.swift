import Dispatch
import PosternAudit

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The worker's own folder: id, audit, journals. Held by one worker at a time.
final class StateFolder: Sendable {
    /// Of tool outputs in a work folder that sessions walk through.
    static let walkedOutputs = ".postern-outputs"

    let path: String
    let workerID: String
    private let outputs: String
    private let lock: Int32

    /// Makes the folder (0700) if missing, takes its lock and reads or makes the worker's id. Blocks; for start-up. A folder that is a link, is
    /// somebody else's or is open to others is refused: what is in it decides what is run again and what is removed.
    ///
    /// - Parameter walked: a folder of the worker's that sessions walk through; tool outputs are kept there, and everything else where nobody walks.
    init(path: String, workerID given: String?, hostName: String, walked: String? = nil) throws(FileError) {
        try SmallFile.makePrivateFolder(path)
        for folder in ["sessions", "outputs", "workspaces", "changes"] { try SmallFile.makePrivateFolder("\(path)/\(folder)") }
        if let walked {
            try SmallFile.makeFolder(walked)
            try SmallFile.makeFolder("\(walked)/\(Self.walkedOutputs)")
            for folder in [walked, "\(walked)/\(Self.walkedOutputs)"] {
                guard chmod(folder, 0o711) == 0 else { throw FileError("let sessions walk through", folder) }
            }
        }
        let lock = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw FileError("open", "\(path)/lock") }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw FileError(
                action: "use", path: path, reason: "another worker holds it; give each worker its own state folder (--state-dir or --workdir)")
        }
        self.lock = lock
        self.path = path
        outputs = walked.map { "\($0)/\(Self.walkedOutputs)" } ?? "\(path)/outputs"
        let file = "\(path)/worker-id"
        let stored: String?
        do {
            stored = try SmallFile.read(file).map { String(decoding: $0, as: UTF8.self).trimmed }
            if let given {
                workerID = given
            } else if let stored, !stored.isEmpty {
                workerID = stored
            } else {
                let digits = Array("0123456789abcdef")
                workerID = hostName + "-" + String((0..<12).map { _ in digits[Int.random(in: 0..<16)] })
            }
            if stored != workerID { try SmallFile.write(Array((workerID + "\n").utf8), to: file) }
        } catch {
            close(lock)
            throw error
        }
    }

    deinit { close(lock) }

    func journal(_ sessionID: String) -> String { "\(path)/sessions/\(sessionID).journal" }
    func outputs(_ sessionID: String) -> String { "\(outputs)/\(sessionID)" }
    /// What a session changed in a copy-on-write workspace.
    func changes(_ sessionID: String) -> String { "\(path)/changes/\(sessionID)" }
    /// Says that the workspace of that name was made by this worker and may be removed by it.
    func workspaceMark(_ sessionID: String) -> String { "\(path)/workspaces/\(sessionID)" }

    /// Session ids with a journal. Blocks.
    func journalledSessions() -> [String] {
        names("\(path)/sessions").compactMap { $0.hasSuffix(".journal") ? String($0.dropLast(8)) : nil }.filter(Self.isSafeName).sorted()
    }

    /// Session ids with a workspace of this worker's. Blocks.
    func markedWorkspaces() -> [String] { names("\(path)/workspaces").filter(Self.isSafeName).sorted() }

    private func names(_ folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }

    /// A session's id becomes a file name: letters, digits, `_` and `-` only, at most 100.
    static func isSafeName(_ id: String) -> Bool {
        !id.isEmpty && id.utf8.count <= 100
            && id.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 0x5F || $0 == 0x2D }
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = Substring(self)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}

/// Runs blocking calls away from the cooperative pool.
enum Blocking {
    private static let queue = DispatchQueue(label: "postern.worker.files", attributes: .concurrent)

    static func run<Value: Sendable>(_ work: @escaping @Sendable () throws(FileError) -> Value) async throws(FileError) -> Value {
        let result: Result<Value, FileError> = await withCheckedContinuation { done in
            queue.async {
                do throws(FileError) { done.resume(returning: .success(try work())) } catch { done.resume(returning: .failure(error)) }
            }
        }
        return try result.get()
    }
}
