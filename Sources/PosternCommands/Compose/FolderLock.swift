#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Keeps a folder to one process. The kernel lets go of it when the process ends, however it ends.
struct FolderLock {
    private let descriptor: Int32

    init(_ folder: String) throws(CommandError) {
        let path = folder + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CommandError(.failure, "cannot write \(path): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw CommandError(.failure, "\(folder) is in use by another process of Postern: stop it, or name another folder")
        }
    }

    func release() { close(descriptor) }
}
