import CPosternSandbox
import Glibc

/// The users of a range that sandboxes run as, one each. A user is held by a locked file, so that two spawners of one machine never give
/// out the same, and is given back only after the kernel counts no process of it any more. It stays the user of the folder that it was held
/// for, whose session may come back, as long as that folder is there. What a killed spawner held is swept at start.
final class SessionUsers {
    enum Refusal: Error {
        /// Another sandbox, of this spawner or another, runs as that user.
        case held
        /// Processes of that user are there whoever started them.
        case busy
        case failed(String)
    }

    let range: ClosedRange<uid_t>
    private let folder: Int32
    private var next: uid_t
    private var held: [uid_t: Int32] = [:]

    private static let path = "/run/postern-users"

    /// - Throws: when the machine gives no place for the locks.
    init(range: ClosedRange<uid_t>) throws(SystemFailure) {
        self.range = range
        next = range.lowerBound
        if mkdir(Self.path, 0o700) < 0, errno != EEXIST { throw SystemFailure("mkdir \(Self.path)") }
        folder = open(Self.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0, let info = Posix.status(folder), info.st_uid == 0, info.st_mode & 0o022 == 0 else {
            throw SystemFailure("open \(Self.path)", EPERM)
        }
        sweepLeftovers()
    }

    private func sweepLeftovers() {
        for name in Posix.names(of: folder) ?? [] {
            guard let user = uid_t(String(decoding: name, as: UTF8.self)), range.contains(user) else { continue }
            let file = Posix.open(folder, name, O_RDWR | O_NOFOLLOW)
            guard file >= 0 else { continue }
            if flock(file, LOCK_EX | LOCK_NB) == 0, let use = UserUse(file), use.isHeld ? Self.isGone(user, killing: true) : !use.isKept(by: user) {
                use.end(user, file)
            }
            Self.release(file)
        }
    }

    /// Nothing of `user` runs. `killing`: after everything of it has been killed.
    private static func isGone(_ user: uid_t, killing: Bool) -> Bool {
        psb_sweep_user(user, killing ? 1 : 0, nil) == 0 || hasOnlyZombies(user)
    }

    /// The kernel's count has those too who are dead and whom their parent has not waited for yet. Told apart by a look at every process,
    /// which is slow and seldom needed.
    static func hasOnlyZombies(_ user: uid_t) -> Bool {
        let processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard processes >= 0, let names = Posix.names(of: processes) else { return false }
        defer { close(processes) }
        for name in names where name.allSatisfy({ (0x30...0x39).contains($0) }) {
            let name = String(decoding: name, as: UTF8.self)
            guard let status = CgroupFile.read("/proc/\(name)", "status") else { continue }
            var (isOwn, isDead, threads) = (false, false, 0)
            for line in status.split(separator: "\n") {
                if line.hasPrefix("Uid:") { isOwn = line.split { $0 == "\t" || $0 == " " }.dropFirst().contains { $0 == "\(user)" } }
                if line.hasPrefix("Threads:") { threads = line.split { $0 == "\t" || $0 == " " }.last.flatMap { Int($0) } ?? 0 }
                if line.hasPrefix("State:") { isDead = line.contains("Z") || line.contains("X") }
            }
            // The first thread of a process may be over while others go on.
            if isOwn, !isDead || threads > 1 { return false }
        }
        return true
    }

    /// Holds `user` for `folder`, if nothing of it is there. `isReturning`: the folder is the user's own, and what runs as it is of the session that
    /// comes back, and is killed; else a user that is kept for another folder is refused.
    func take(_ user: uid_t, for folder: String?, isReturning: Bool = false) throws(Refusal) {
        guard held[user] == nil else { throw .held }
        let file = Posix.open(self.folder, Array("\(user)".utf8), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .failed(SystemFailure("open \(Self.path)/\(user)").text) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .held
        }
        guard isReturning || UserUse(file)?.isKept(by: user) != true else {
            Self.release(file)
            throw .held
        }
        guard Self.isGone(user, killing: isReturning) else {
            Self.release(file)
            throw .busy
        }
        guard UserUse(isHeld: true, folder: folder).write(file) else {
            let failure = SystemFailure("write \(Self.path)/\(user)")
            Self.release(file)
            throw .failed(failure.text)
        }
        held[user] = file
    }

    /// Holds a user for `folder` that nobody has; none of `taken`. `nil` when there is none.
    func takeAny(for folder: String? = nil, except taken: Set<uid_t>) throws(Refusal) -> uid_t? {
        for _ in range {
            let candidate = next
            next = next == range.upperBound ? range.lowerBound : next + 1
            guard !taken.contains(candidate) else { continue }
            do throws(Refusal) {
                try take(candidate, for: folder)
                return candidate
            } catch {
                if case .failed = error { throw error }
            }
        }
        return nil
    }

    /// Keeps `user` for `folder`, which is its own, if nobody has it and it is kept for nothing else.
    func keep(_ user: uid_t, for folder: String) {
        guard range.contains(user), held[user] == nil else { return }
        let file = Posix.open(self.folder, Array("\(user)".utf8), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { return }
        let use = UserUse(file)
        // What a killed spawner held is swept first, by whoever takes it.
        if use == nil || use?.isHeld == false && use?.isKept(by: user) == false { _ = UserUse(isHeld: false, folder: folder).write(file) }
        flock(file, LOCK_UN)
    }

    /// Kills what is left of `user` in a process of its own, whose exit status 0 says that nothing is. The pid, or `nil` when none is needed.
    func sweep(_ user: uid_t) -> pid_t? {
        guard held[user] != nil else { return nil }
        var child: pid_t = 0
        return psb_sweep_user(user, 1, &child) == 0 ? child : nil
    }

    /// Gives `user` back. One of whom something may be left is kept for as long as this process lives.
    func giveBack(_ user: uid_t, isSwept: Bool) {
        guard isSwept || Self.hasOnlyZombies(user), let file = held.removeValue(forKey: user) else { return }
        UserUse(file)?.end(user, file)
        Self.release(file)
    }

    /// Closing is not enough: processes that this one has forked meanwhile have the file open too, and with it the lock.
    private static func release(_ file: Int32) {
        flock(file, LOCK_UN)
        close(file)
    }
}
