import Glibc

/// What the file of a user says: whether a spawner has it, and which folder it is of. An empty file says that it is free.
struct UserUse {
    /// By the spawner that has the lock, or had it when it was killed.
    var isHeld: Bool
    /// The path of a session's folder.
    var folder: String?

    init(isHeld: Bool, folder: String?) {
        self.isHeld = isHeld
        self.folder = folder
    }

    /// `nil` of a user that is free.
    init?(_ file: Int32) {
        var bytes = [UInt8](repeating: 0, count: 1 + Int(PATH_MAX))
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        isHeld = bytes[0] == UInt8(ascii: "1")
        folder = count > 1 ? String(decoding: bytes[1..<count], as: UTF8.self) : nil
    }

    /// The folder is there and still `user`'s.
    func isKept(by user: uid_t) -> Bool {
        guard let folder, let info = Posix.status(AT_FDCWD, Array(folder.utf8), follow: false) else { return false }
        return info.st_uid == user
    }

    func write(_ file: Int32) -> Bool {
        let bytes = [UInt8(ascii: isHeld ? "1" : "0")] + Array((folder ?? "").utf8)
        return ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count
    }

    /// Nothing of `user` runs any more: it is kept for its folder, else free.
    func end(_ user: uid_t, _ file: Int32) {
        guard isKept(by: user), UserUse(isHeld: false, folder: folder).write(file) else {
            ftruncate(file, 0)
            return
        }
    }
}
