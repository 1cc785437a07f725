import Glibc
import PosternSandboxWire

/// The tool outputs folder of the session. Commands of the session can write there too, so nothing found in it is trusted or
/// followed: a file is always made new.
struct OutputStore {
    /// The folder, opened once at start.
    let directory: Int32
    /// Its path inside.
    let path: String
    /// Bytes that all files in it may take together.
    let limit: Int

    /// A file being written.
    struct File {
        let descriptor: Int32
        let path: String
        fileprivate(set) var room: Int
        fileprivate let limit: Int
        /// Why bytes are missing from it.
        private(set) var failure: String?

        mutating func write(_ text: [UInt8]) {
            guard failure == nil else { return }
            let fits = min(room, text.count)
            if fits > 0, !text.withUnsafeBytes({ Posix.write(descriptor, UnsafeRawBufferPointer(rebasing: $0[..<fits])) }) {
                failure = "The disk took no more (\(SystemError.reason(errno)))"
                return
            }
            room -= fits
            if fits < text.count { failure = "The disk limit of \(limit) bytes for tool outputs is reached" }
        }

        func close() { if descriptor >= 0 { Glibc.close(descriptor) } }

        fileprivate init(descriptor: Int32, path: String, room: Int, limit: Int, failure: String?) {
            self.descriptor = descriptor
            self.path = path
            self.room = room
            self.limit = limit
            self.failure = failure
        }
    }

    /// A new, empty `<name>.txt`, in place of one of that name from an earlier run of the same call.
    func create(_ name: String) -> File {
        let file = Array("\(name).txt".utf8)
        _ = Posix.withPath(file) { unlinkat(directory, $0, 0) }
        let descriptor = Posix.open(directory, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        let failure = descriptor < 0 ? "It could not be written to disk (\(SystemError.reason(errno)))" : nil
        return File(descriptor: descriptor, path: "\(path)/\(name).txt", room: max(0, limit - used()), limit: limit, failure: failure)
    }

    /// Bytes that the folder's files take now.
    private func used() -> Int {
        (Posix.names(of: directory) ?? []).reduce(0) { sum, name in sum + (Posix.status(directory, name, follow: false).map { Int($0.st_size) } ?? 0)
        }
    }
}
