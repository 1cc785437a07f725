#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A folder for the time of one command, below `TMPDIR` or /tmp, for its owner only.
struct ScratchFolder {
    let path: String

    init(_ prefix: String) throws(CommandError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/\(prefix).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw CommandError(.failure, "no folder can be made in \(parent): \(String(cString: strerror(errno)))")
        }
        path = TextFile.resolved(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// Lets every user walk into it, though not list it: for the sandbox of another user that is to be tried.
    func openForSearch() { chmod(path, 0o711) }

    /// Removes the folder and what this process's user can remove of what is in it; links are not followed.
    func remove() { Self.remove(path) }

    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                if name == "." || name == ".." { continue }
                let inner = "\(path)/\(name)"
                if entry.pointee.d_type == UInt8(DT_DIR) { remove(inner) } else { unlink(inner) }
            }
            closedir(folder)
        }
        rmdir(path)
    }
}
