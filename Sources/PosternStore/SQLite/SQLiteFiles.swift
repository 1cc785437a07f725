#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The modes of the database's files. SQLite gives its `-wal` and `-shm` files the mode of the database.
enum SQLiteFiles {
    /// Makes the file with mode 0600 if there is none, its folder with 0700 if there is none, and takes away what others may do with an
    /// existing file.
    static func prepare(_ path: String) throws(SQLFailure) {
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex { try makeFolder(String(path[..<slash])) }
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        guard fchmod(file, 0o600) == 0 else { throw failure("restrict", path) }
    }

    /// Takes the room of the write-ahead log from the disk ahead of time: a flush of a file that grows costs the file system a commit of its own
    /// (135 against 90 µs on the build machine). SQLite takes zeros for the end of its log. Where there is no room the log grows as it is used.
    static func reserveLog(_ path: String, bytes: Int) {
        let file = open(path + "-wal", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        if posix_fallocate(file, 0, off_t(bytes)) == 0 { _ = fsync(file) }
    }

    /// Makes a new, empty file with mode 0600; fails if there is something at `path`.
    static func makeNew(_ path: String) throws(SQLFailure) {
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("make", path) }
        close(file)
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Removes a database that was not finished; nothing if there is none.
    static func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) }
    }

    private static func makeFolder(_ path: String) throws(SQLFailure) {
        if access(path, F_OK) == 0 { return }
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex { try makeFolder(String(path[..<slash])) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make folder", path) }
    }

    private static func failure(_ action: String, _ path: String) -> SQLFailure {
        .unavailable("cannot \(action) \(path): \(String(cString: strerror(errno)))")
    }
}
