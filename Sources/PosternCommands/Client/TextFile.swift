#if canImport(CoreFoundation)
// Where many files are compiled at once, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Small files that a command reads or writes. Blocking: for the start of a process and for commands, not for a running service.
enum TextFile {
    /// Bytes; a configuration, a resource or a key is never near it.
    static let maximumSize = 8 << 20

    /// - Parameters:
    ///   - path: `-` is standard input.
    ///   - opened: the file, where somebody has opened it for this process; it is closed here.
    static func read(_ path: String, opened: Int32? = nil) throws(CommandError) -> String {
        let descriptor = opened ?? (path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC))
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { if path != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = chunk.withUnsafeMutableBytes { systemRead(descriptor, $0) }
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw failure("read", path)
            }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= maximumSize else { throw CommandError(.failure, "\(path) is larger than \(maximumSize) bytes") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw CommandError(.failure, "\(path) is not UTF-8 text") }
        return text
    }

    /// The first line, without spaces around it.
    static func readSecret(_ path: String) throws(CommandError) -> String {
        let secret = try read(path).prefix { !$0.isNewline }.trimmingSpaces
        guard !secret.isEmpty else { throw CommandError(.configuration, "\(path) holds no key on its first line") }
        return secret
    }

    /// Writes a file that only its owner can read. An existing one is replaced at once, never seen half-written.
    /// - Parameter keepsOwner: whether an existing one stays its owner's, so that root may renew what a service of another user reads.
    static func writeSecret(_ text: String, to path: String, keepsOwner: Bool = false) throws(CommandError) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write", path) }
        defer { close(descriptor) }
        var old = stat()
        if keepsOwner, geteuid() == 0, lstat(path, &old) == 0, old.st_mode & S_IFMT == S_IFREG, fchown(descriptor, old.st_uid, old.st_gid) != 0 {
            throw failure("write", path)
        }
        let bytes = Array("\(text)\n".utf8)
        guard bytes.withUnsafeBytes({ systemWrite(descriptor, $0) }) == bytes.count, fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw failure("write", path)
        }
    }

    /// Whether a file can be made at `path`, before anything is asked for that would be lost otherwise.
    static func checkWritable(_ path: String, option: String) throws(CommandError) {
        let folder = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
        guard access(folder.isEmpty ? "/" : folder, W_OK | X_OK) == 0 else {
            throw CommandError(.failure, "\(option): \(path) cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Throws where others than the owner can read the file: a key that is theirs too is not used.
    static func checkPrivate(_ path: String) throws(CommandError) {
        var info = stat()
        guard stat(path, &info) == 0 else { throw failure("read", path) }
        guard info.st_mode & 0o077 == 0 else {
            throw CommandError(.configuration, "\(path) can be read by others than its owner: run `chmod 600 \(path)`")
        }
    }

    /// Of this machine.
    static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "connector" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What is not there stays so.
    static func remove(_ path: String) { unlink(path) }
    /// What tells one state of a file from another without reading it; `nil` where there is none, or it cannot be looked at. Follows links, as those
    /// of mounted secrets, which change where they lead.
    static func stamp(_ path: String) -> FileStamp? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        #if canImport(Glibc)
        let (modified, changed) = (info.st_mtim, info.st_ctim)
        #else
        let (modified, changed) = (info.st_mtimespec, info.st_ctimespec)
        #endif
        return FileStamp(
            place: [UInt64(truncatingIfNeeded: info.st_dev), UInt64(truncatingIfNeeded: info.st_ino)], size: Int64(info.st_size),
            mode: UInt32(info.st_mode), changed: [modified.tv_sec, modified.tv_nsec, changed.tv_sec, changed.tv_nsec])
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes a folder and those above it; an existing one is left as it is.
    static func makeFolder(_ path: String, mode: mode_t = 0o700) throws(CommandError) {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            prefix += prefix.isEmpty && !path.hasPrefix("/") ? part : "/\(part)"
            if prefix == "/" || prefix.isEmpty || exists(prefix) { continue }
            guard mkdir(prefix, mode) == 0 || errno == EEXIST else { throw failure("make", prefix) }
        }
    }

    /// The path as an absolute one, against the current folder; links are kept.
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let current = getcwd(nil, 0) else { return path }
        defer { free(current) }
        let folder = String(cString: current)
        if path == "." { return folder }
        return folder + "/" + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }

    /// The absolute path without links; as `absolute` where there is nothing yet.
    static func resolved(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return absolute(path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func failure(_ verb: String, _ path: String) -> CommandError {
        CommandError(.failure, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}

private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int { read(descriptor, buffer.baseAddress, buffer.count) }
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }

extension StringProtocol {
    var trimmingSpaces: String {
        let start = firstIndex { !$0.isWhitespace } ?? endIndex
        let end = lastIndex { !$0.isWhitespace }.map { index(after: $0) } ?? start
        return String(self[start..<end])
    }
}
