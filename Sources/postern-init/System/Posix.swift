import Glibc
import PosternSandboxWire

/// A failed system call.
struct SystemFailure: Error {
    var code: Int32
    var call: String

    init(_ call: String, _ code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    var text: String { "\(call): \(SystemError.reason(code))" }
}

/// Thin names for system calls on paths given as bytes: file names need not be UTF-8.
enum Posix {
    static func open(_ directory: Int32, _ name: [UInt8], _ flags: Int32, _ mode: mode_t = 0) -> Int32 {
        withPath(name) { path in
            var descriptor: Int32
            repeat { descriptor = openat(directory, path, flags | O_CLOEXEC, mode) } while descriptor < 0 && errno == EINTR
            return descriptor
        }
    }

    static func status(_ directory: Int32, _ name: [UInt8], follow: Bool) -> stat? {
        var info = stat()
        return withPath(name) { fstatat(directory, $0, &info, follow ? 0 : AT_SYMLINK_NOFOLLOW) } == 0 ? info : nil
    }

    static func status(_ descriptor: Int32) -> stat? {
        var info = stat()
        return fstat(descriptor, &info) == 0 ? info : nil
    }

    static func link(_ directory: Int32, _ name: [UInt8]) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = withPath(name) { path in
            buffer.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { readlinkat(directory, path, $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
            }
        }
        return length < 0 ? nil : Array(buffer.prefix(length))
    }

    static func withPath<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (name + [0]).withUnsafeBytes { bytes in
            // A [UInt8] with the zero just appended is never empty.
            body(bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self))
        }
    }

    /// Reads until `buffer` is full or the file ends. The number of bytes, or `nil` with errno set.
    static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        var filled = 0
        while filled < buffer.count {
            let count = Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Writes all of `bytes`; `false` with errno set.
    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            done += count
        }
        return true
    }

    static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { write(descriptor, $0) } }

    /// A whole file of at most `most` bytes; `nil` with errno set when it cannot be read or is longer.
    static func contents(_ descriptor: Int32, most: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            guard let count = buffer.withUnsafeMutableBytes({ read(descriptor, into: $0) }) else { return nil }
            bytes += buffer[..<count]
            guard bytes.count <= most else {
                errno = EFBIG
                return nil
            }
            if count < buffer.count { return bytes }
        }
    }

    static func names(of directory: Int32) -> [[UInt8]]? {
        let own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { return nil }
        guard let stream = fdopendir(own) else {
            close(own)
            return nil
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in Array(bytes.prefix { $0 != 0 }) }
            if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
        }
        return names
    }

    static func isKind(_ info: stat, _ kind: mode_t) -> Bool { info.st_mode & S_IFMT == kind }
}

extension FileIdentity {
    /// Of an open file.
    init?(of descriptor: Int32) {
        guard let info = Posix.status(descriptor) else { return nil }
        self.init(device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
    }
}
