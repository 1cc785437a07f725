#if canImport(CoreFoundation)
// Where files are compiled together, `stat` counts as CoreFoundation's, which swift-certificates brings along.
import CoreFoundation
#endif

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The file of a listening unix socket.
enum UnixSocketFile {
    /// Removes the socket that a killed process has left at `path`. One that somebody listens on stays, as does anything that is no socket.
    static func makeRoom(at path: String) throws(CommandError) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFSOCK else {
            throw CommandError(.configuration, "\(path) is there and no socket: name another path, or remove it")
        }
        guard !isServed(path) else { throw CommandError(.failure, "cannot listen on \(path): another process does") }
        guard unlink(path) == 0 else {
            throw CommandError(.failure, "\(path), which a former process has left, cannot be removed: \(String(cString: strerror(errno)))")
        }
    }

    /// Whether a process accepts connections there.
    private static func isServed(_ path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return true }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        // A full queue means that somebody listens.
        return status == 0 || errno == EAGAIN
    }
}
