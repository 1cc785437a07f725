import CPosternSandbox
import Glibc

/// The users of a range that sandboxes run as, one each. A user is held by a locked file, so that two spawners of one machine never give
/// out the same, and is given back only after the kernel counts no process of it any more. What a killed spawner held is swept at start.
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
            // In use, unless the file says that it was given back.
            if flock(file, LOCK_EX | LOCK_NB) == 0, let info = Posix.status(file), info.st_size > 0, Self.isGone(user, killing: true) {
                ftruncate(file, 0)
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

    /// Holds `user`, if nothing of it is there. `killing`: what is there is of the session that comes back, and is killed.
    func take(_ user: uid_t, killing: Bool = false) throws(Refusal) {
        guard held[user] == nil else { throw .held }
        let file = Posix.open(folder, Array("\(user)".utf8), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .failed(SystemFailure("open \(Self.path)/\(user)").text) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .held
        }
        guard Self.isGone(user, killing: killing) else {
            Self.release(file)
            throw .busy
        }
        guard Posix.write(file, [UInt8(ascii: "1")]) else {
            let failure = SystemFailure("write \(Self.path)/\(user)")
            Self.release(file)
            throw .failed(failure.text)
        }
        held[user] = file
    }

    /// Holds a user that nobody has; none of `taken`. `nil` when there is none.
    func takeAny(except taken: Set<uid_t>) throws(Refusal) -> uid_t? {
        for _ in range {
            let candidate = next
            next = next == range.upperBound ? range.lowerBound : next + 1
            guard !taken.contains(candidate) else { continue }
            do throws(Refusal) {
                try take(candidate)
                return candidate
            } catch {
                if case .failed = error { throw error }
            }
        }
        return nil
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
        ftruncate(file, 0)
        Self.release(file)
    }

    /// Closing is not enough: processes that this one has forked meanwhile have the file open too, and with it the lock.
    private static func release(_ file: Int32) {
        flock(file, LOCK_UN)
        close(file)
    }
}
