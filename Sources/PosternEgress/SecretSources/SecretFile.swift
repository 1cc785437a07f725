#if canImport(CoreFoundation)
// Where the whole module is compiled at once, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Reads secrets from files. All calls block for the time of a small read; they belong on a thread pool.
enum SecretFile {
    /// Larger files are refused.
    static let longest = 64 << 10

    /// The first line of `path`, without its end. The file is opened once and everything is checked on the descriptor: it is a regular
    /// file and no link, belongs to this process's user or root, and nobody else may read or write it.
    /// - Parameter opened: the file, where somebody has opened it for this process; it is closed here.
    static func firstLine(_ path: String, opened: Int32? = nil) throws(SecretSourceError) -> SecretValue {
        let bytes = try contents(path, isSecret: true, opened: opened)
        let line = bytes.prefix { $0 != 0x0A }
        let value = line.last == 0x0D ? line.dropLast() : line
        guard !value.isEmpty else { throw SecretSourceError("file \(path)", "its first line is empty", remedy: "write the value on the first line") }
        return SecretValue(bytes: Array(value))
    }

    /// The whole file. `isSecret` asks for the owner and the mode of a secret; without it anybody may read the file.
    static func contents(_ path: String, isSecret: Bool, opened: Int32? = nil) throws(SecretSourceError) -> [UInt8] {
        let source = "file \(path)"
        guard path.hasPrefix("/") else { throw SecretSourceError(source, "the path is not absolute", remedy: "write it from the root on") }
        // Not blocking: a FIFO must not hold this thread.
        let descriptor = opened ?? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (isSecret ? O_NOFOLLOW : 0))
        guard descriptor >= 0 else {
            let code = errno
            if code == ELOOP { throw SecretSourceError(source, "it is a symbolic link", remedy: "name the file that it leads to") }
            let isMissing = code == ENOENT
            throw SecretSourceError(
                source, isMissing ? "there is no such file" : "it cannot be opened (error \(code))",
                remedy: isMissing ? "make it with mode 0600" : "give it to the worker's user, mode 0600")
        }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw SecretSourceError(source, "it is no regular file", remedy: "name a file that holds the value")
        }
        if isSecret {
            guard info.st_uid == geteuid() || info.st_uid == 0 else {
                throw SecretSourceError(
                    source, "it belongs to user \(info.st_uid)", remedy: "chown it to the worker's user (\(geteuid())) or to root")
            }
            guard info.st_mode & 0o077 == 0 else {
                throw SecretSourceError(
                    source, "others than its owner may use it (mode 0\(String(info.st_mode & 0o777, radix: 8)))", remedy: "chmod 600 it")
            }
        }
        guard info.st_size <= longest else {
            throw SecretSourceError(source, "it has \(info.st_size) bytes", remedy: "at most \(longest) bytes are read")
        }
        var bytes = [UInt8](repeating: 0, count: longest + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                buffer.baseAddress.map { read(descriptor, $0 + count, buffer.count - count) } ?? 0
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw SecretSourceError(source, "it cannot be read (error \(errno))", remedy: "check the disk", isTemporary: true) }
            if got == 0 { break }
            count += got
        }
        guard count <= longest else { throw SecretSourceError(source, "it grows while it is read", remedy: "at most \(longest) bytes are read") }
        return Array(bytes[..<count])
    }
}
