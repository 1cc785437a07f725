import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Folders of the host, as the spawner is given them: by descriptor.
enum HostFolder {
    /// Opens the folder `path` itself, which may not be a link. The caller closes it.
    static func open(_ path: String, _ what: String) throws(SandboxError) -> Int32 {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { throw SandboxError(.refused, "the \(what) '\(path)' must be an absolute path") }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw SandboxError(.refused, "the \(what) '\(path)' cannot be opened: \(SystemError.reason(errno))") }
        return descriptor
    }

    /// Opens the folder that `path` is or will be in, making it if need be, and gives the last part of `path` beside it.
    static func openParent(of path: String, _ what: String) throws(SandboxError) -> (descriptor: Int32, name: String) {
        let parts = path.split(separator: "/")
        guard path.hasPrefix("/"), !path.utf8.contains(0), let name = parts.last, !parts.contains("..") else {
            throw SandboxError(.refused, "the \(what) '\(path)' must be an absolute path without '..'")
        }
        var parent = ""
        for part in parts.dropLast() {
            parent += "/\(part)"
            if mkdir(parent, 0o711) < 0, errno != EEXIST, errno != EROFS, errno != EACCES {
                throw SandboxError(.refused, "'\(parent)' cannot be made: \(SystemError.reason(errno))")
            }
        }
        let descriptor = Glibc.open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SandboxError(.refused, "'\(parent)' cannot be opened: \(SystemError.reason(errno))") }
        return (descriptor, String(name))
    }
}
