#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Small private files, read and written whole: keys, ids, markers. These calls block; they are for start-up and for queues of their own.
package enum SmallFile {
    /// Makes a folder and its parents; the last one gets mode 0700 if it is new.
    package static func makeFolder(_ path: String) throws(FileError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else { throw FileError("make the folder", path) }
        try makeFolder(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError("make the folder", path) }
    }

    /// Makes a folder as `makeFolder` does and refuses one that anybody but this process's user could have made, can read or can change.
    package static func makePrivateFolder(_ path: String) throws(FileError) {
        // With a slash at its end a link would be followed.
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        try makeFolder(path)
        var status = stat()
        guard lstat(path, &status) == 0 else { throw FileError("look at", path) }
        let (owner, own) = (status.st_uid, geteuid())
        let mode = status.st_mode & 0o7777
        let reason: String
        if status.st_mode & S_IFMT != S_IFDIR {
            let kind = status.st_mode & S_IFMT == S_IFLNK ? "a link" : "no folder"
            reason = "it is \(kind) (owner \(owner), mode \(octal(mode))); name a folder of this user's own, not a link to one"
        } else if owner != own {
            reason =
                "it belongs to user \(owner) (mode \(octal(mode))) and this process is user \(own); name another folder, or: chown \(own) '\(path)'"
        } else if mode & 0o077 != 0 {
            reason = "its mode is \(octal(mode)) (owner \(owner)), so that others can use it; close it: chmod 700 '\(path)'"
        } else {
            return
        }
        throw FileError(action: "use the folder", path: path, reason: reason)
    }

    private static func octal(_ mode: mode_t) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// The bytes, or `nil` if there is no such file. At most `limit`; links are not followed.
    package static func read(_ path: String, limit: Int = 1 << 20) throws(FileError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw FileError("open", path)
        }
        defer { close(descriptor) }
        return try readAll(descriptor, path, limit: limit)
    }

    /// Reads to the end; more than `limit` bytes are an error.
    package static func readAll(_ descriptor: Int32, _ path: String, limit: Int) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            #if canImport(Glibc)
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            #else
            let count = Darwin.read(descriptor, &chunk, chunk.count)
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("read", path)
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if bytes.count > limit { throw FileError(action: "read", path: path, reason: "larger than \(limit) bytes") }
        }
    }

    /// Writes every byte, going on after an interruption or a short write. `path` is for the error.
    static func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(FileError) {
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                #if canImport(Glibc)
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
                #else
                Darwin.write(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
                #endif
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            offset += written
        }
    }

    /// Writes a new file with mode 0600, flushes it and puts it in place in one step. An existing one is replaced.
    /// Without `durable` it survives a kill of the process, and not a loss of power.
    package static func write(_ bytes: [UInt8], to path: String, durable: Bool = true) throws(FileError) {
        let temporary = "\(path).\(getpid()).tmp"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("create", temporary) }
        defer { close(descriptor) }
        try writeAll(bytes, to: descriptor, temporary)
        guard !durable || fsync(descriptor) == 0 else { throw FileError("flush", temporary) }
        guard rename(temporary, path) == 0 else { throw FileError("put in place", path) }
        if durable { try flushFolder(of: path) }
    }

    /// Brings the names in a file's folder to the disk.
    static func flushFolder(of path: String) throws(FileError) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw FileError("open", folder) }
        defer { close(parent) }
        guard fsync(parent) == 0 else { throw FileError("flush", folder) }
    }
}
