import Glibc
import PosternSandboxWire

/// The folder in which the changes of a copy-on-write workspace are kept: what overlayfs writes, and its scratch beside it.
enum ChangesFolder {
    static let upper = "upper"
    static let work = "work"

    /// Makes what is missing in `changes`. The top of the changes is what the session sees as its workspace, so that it has the rights of
    /// `workspace`, and for root spawners the owner `owner`.
    static func prepare(_ changes: Int32, like workspace: Int32, owner: uid_t?) throws(SpawnerFailure) {
        for name in [upper, work] {
            if mkdirat(changes, name, 0o700) < 0 {
                guard errno == EEXIST else { throw SpawnerFailure(text: "a folder for changes cannot be made: \(SystemError.reason(errno))") }
                continue
            }
            let folder = Posix.open(changes, Array(name.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard folder >= 0 else { throw SpawnerFailure(text: "a folder for changes cannot be opened: \(SystemError.reason(errno))") }
            defer { close(folder) }
            if let owner, fchown(folder, owner, owner) < 0 {
                throw SpawnerFailure(text: "a folder for changes cannot be given to user \(owner): \(SystemError.reason(errno))")
            }
            if name == upper, let info = Posix.status(workspace) { fchmod(folder, info.st_mode & 0o777 | 0o700) }
        }
    }

    /// Marks the changes as in use by a sandbox, for as long as the open file lives: whoever looks at them or takes them over holds the lock
    /// exclusively (`ChangesLock`), and finds it held by sandboxes of any spawner. It goes with this process, however that ends.
    static func lock(_ changes: Int32) throws(SpawnerFailure) {
        guard flock(changes, LOCK_SH | LOCK_NB) < 0 else { return }
        throw SpawnerFailure(
            text: errno == EWOULDBLOCK
                ? "a command (postern sandbox workspace) is at work on the session's changes: wait for its end"
                : "the folder for changes cannot be locked: \(SystemError.reason(errno))")
    }

    /// What overlayfs is told. The paths are this program's own, without a comma or a colon, which would end them. `userxattr`: the marks of
    /// the overlay are the session's own attributes, not root's, so that whoever owns the changes can read them.
    static func overlayOptions(lower: String, upper: String, work: String) -> String {
        "lowerdir=\(lower),upperdir=\(upper),workdir=\(work),userxattr,index=off"
    }
}
