import PosternAudit

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Copies and removes folders without following links. Everything here blocks.
enum FolderTree {
    /// Copies folders, regular files and links as they are, with their permission bits; sockets, devices and FIFOs are left out. The copy
    /// belongs to this process's user.
    static func copy(_ source: String, to target: String, depth: Int = 0) throws(FileError) {
        guard depth < 256 else { throw FileError(action: "copy", path: source, reason: "more than 256 folders deep") }
        var status = stat()
        guard lstat(source, &status) == 0 else { throw FileError("copy", source) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            guard mkdir(target, 0o700) == 0 else { throw FileError("make the folder", target) }
            for name in try names(source) { try copy("\(source)/\(name)", to: "\(target)/\(name)", depth: depth + 1) }
            guard chmod(target, status.st_mode & 0o777 | 0o700) == 0 else { throw FileError("copy", target) }
        case S_IFLNK:
            var buffer = [CChar](repeating: 0, count: 4097)
            // One byte less than there is, so that a zero ends the text whatever the link holds.
            guard readlink(source, &buffer, 4096) >= 0, symlink(&buffer, target) == 0 else { throw FileError("copy", source) }
        case S_IFREG: try copyFile(source, to: target, mode: status.st_mode & 0o777)
        default: break
        }
    }

    private static func copyFile(_ source: String, to target: String, mode: mode_t) throws(FileError) {
        let input = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard input >= 0 else { throw FileError("read", source) }
        defer { close(input) }
        let output = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode | 0o600)
        guard output >= 0 else { throw FileError("create", target) }
        defer { close(output) }
        var buffer = [UInt8](repeating: 0, count: 262_144)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError("read", source) }
            if count == 0 { break }
            var offset = 0
            while offset < count {
                let written = buffer.withUnsafeBytes { bytes in write(output, bytes.baseAddress.map { $0 + offset }, count - offset) }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { throw FileError("write", target) }
                offset += written
            }
        }
        guard fchmod(output, mode) == 0 else { throw FileError("copy", target) }
    }

    /// Removes a folder, a file or a link; a missing one is no error.
    static func remove(_ path: String) throws(FileError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw FileError("remove", path)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            // A tool may have taken its own permissions away.
            chmod(path, 0o700)
            for name in try names(path) { try remove("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw FileError("remove", path) }
        }
    }

    private static func names(_ folder: String) throws(FileError) -> [String] {
        guard let directory = opendir(folder) else { throw FileError("list", folder) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
