#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The file system of this machine.
package struct SystemDisk: AuditDisk {
    package init() {}

    package func names(in folder: String) throws(FileError) -> [String] {
        guard let directory = opendir(folder) else { throw FileError("list", folder) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }

    package func read(_ path: String, _ piece: (ArraySlice<UInt8>) -> Void) throws(FileError) -> Bool {
        let descriptor = systemOpen(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return false }
            throw FileError("open", path)
        }
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = systemRead(descriptor, &chunk, chunk.count)
            if count == 0 { return true }
            if count > 0 { piece(chunk[..<count]) } else if errno != EINTR { throw FileError("read", path) }
        }
    }

    package func open(_ path: String) throws(FileError) -> any AuditFile { try SystemFile(path) }

    package func replace(_ path: String, with bytes: [UInt8], erasing: Bool) throws(FileError) {
        let old = erasing ? systemOpen(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1
        defer { if old >= 0 { close(old) } }
        try SmallFile.write(bytes, to: path)
        guard old >= 0 else { return }
        var status = stat()
        guard fstat(old, &status) == 0 else { throw FileError("erase the old bytes of", path) }
        try SmallFile.writeAll([UInt8](repeating: 0, count: Int(status.st_size)), to: old, path)
        guard fsync(old) == 0 else { throw FileError("erase the old bytes of", path) }
    }

    package func rename(_ path: String, to other: String) throws(FileError) {
        var status = stat()
        guard lstat(other, &status) != 0, errno == ENOENT else {
            throw FileError(action: "rename \(path) to", path: other, reason: "there is a file of that name")
        }
        guard systemRename(path, other) == 0 else { throw FileError("rename \(path) to", other) }
        try SmallFile.flushFolder(of: other)
    }

    package func reserve(_ path: String, bytes: Int) throws(FileError) {
        let descriptor = systemOpen(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("create", path) }
        defer { close(descriptor) }
        #if canImport(Glibc)
        let code = posix_fallocate(descriptor, 0, off_t(bytes))
        guard code == 0 else {
            errno = code
            throw FileError("reserve \(bytes) bytes in", path)
        }
        #else
        // No fallocate here: zeros take the blocks as well.
        try SmallFile.writeAll([UInt8](repeating: 0, count: bytes), to: descriptor, path)
        #endif
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
    }

    package func lock(_ path: String) throws(FileError) -> any Sendable {
        let descriptor = systemOpen(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw FileError(action: "lock", path: path, reason: "another process, or another log of this one, writes here")
        }
        return OwnedDescriptor(descriptor)
    }
}

private final class SystemFile: AuditFile {
    private let descriptor: Int32
    private let path: String

    init(_ path: String) throws(FileError) {
        descriptor = try AppendOnlyFile.openForAppending(path)
        self.path = path
        try SmallFile.flushFolder(of: path)
    }

    deinit { close(descriptor) }

    var size: Int {
        get throws(FileError) {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
            return Int(status.st_size)
        }
    }

    func append(_ bytes: ArraySlice<UInt8>, written: inout Int) throws(FileError) {
        let end = bytes.endIndex
        var start = bytes.startIndex
        while start < end {
            let count = bytes[start...].withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                start += count
                written += count
            } else if errno != EINTR {
                throw FileError("write", path)
            }
        }
    }

    func flush() throws(FileError) {
        guard fdatasync(descriptor) == 0 else { throw FileError("flush", path) }
    }
}

// The names of the calls are taken by the methods above.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t = 0) -> Int32 { open(path, flags, mode) }
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int { read(descriptor, buffer, count) }
private func systemWrite(_ descriptor: Int32, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, buffer, count) }
private func systemRename(_ path: String, _ other: String) -> Int32 { rename(path, other) }

#if canImport(Darwin)
func fdatasync(_ descriptor: Int32) -> Int32 { fsync(descriptor) }
#endif
