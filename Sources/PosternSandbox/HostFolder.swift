import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Folders of the host, as the spawner is given them: by descriptor.
enum HostFolder {
    /// Opens the folder `path` itself, which may not be a link; see `HostPath` for those on the way. The caller closes it.
    static func open(_ path: String, _ what: String) throws(SandboxError) -> Int32 {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { throw SandboxError(.refused, "the \(what) '\(path)' must be an absolute path") }
        return try HostPath.open(path, what, O_RDONLY | O_DIRECTORY)
    }

    /// Opens the folder that `path` is or will be in, making it if need be and `make` is set, and gives the last part of `path` beside it.
    static func openParent(of path: String, _ what: String, make: Bool = true) throws(SandboxError) -> (descriptor: Int32, name: String) {
        let parts = path.split(separator: "/")
        guard path.hasPrefix("/"), !path.utf8.contains(0), let name = parts.last, !parts.contains("..") else {
            throw SandboxError(.refused, "the \(what) '\(path)' must be an absolute path without '..'")
        }
        var parent = ""
        for part in parts.dropLast() {
            parent += "/\(part)"
            if make, mkdir(parent, 0o711) < 0, errno != EEXIST, errno != EROFS, errno != EACCES {
                throw SandboxError(.refused, "'\(parent)' cannot be made: \(SystemError.reason(errno))")
            }
        }
        let descriptor = Glibc.open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SandboxError(.refused, "'\(parent)' cannot be opened: \(SystemError.reason(errno))") }
        return (descriptor, String(name))
    }

    /// O_PATH: names a file without opening it.
    static let pathOnly = psb_open_path

    /// Opens the file or folder `path` itself, which may not be a link (nor, with `HostPath`, what leads to it), without reading it. The caller closes it.
    static func openAny(_ path: String, _ what: String) throws(SandboxError) -> Int32 {
        guard path.hasPrefix("/"), !path.utf8.contains(0), !path.split(separator: "/").contains("..") else {
            throw SandboxError(.refused, "the \(what) '\(path)' must be an absolute path without '..'")
        }
        let descriptor = try HostPath.open(path, what, pathOnly)
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFDIR || info.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw SandboxError(.refused, "the \(what) '\(path)' is neither a file nor a folder")
        }
        return descriptor
    }

    /// Opens the folder in which the open file `descriptor` has its name.
    static func parent(ofOpen descriptor: Int32, _ what: String) throws(SandboxError) -> Int32 {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlink("/proc/self/fd/\(descriptor)", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
        }
        let path = String(decoding: buffer.prefix(max(0, length)), as: UTF8.self)
        guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { throw SandboxError(.refused, "the path of '\(what)' is unknown") }
        let folder = String(path[..<slash])
        let parent = Glibc.open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw SandboxError(.refused, "'\(folder)' cannot be opened: \(SystemError.reason(errno))") }
        return parent
    }
}
