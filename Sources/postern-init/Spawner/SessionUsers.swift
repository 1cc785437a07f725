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
            if flock(file, LOCK_EX | LOCK_NB) == 0, let info = Posix.status(file), info.st_size > 0, psb_sweep_user(user, 1, nil) == 0 {
                ftruncate(file, 0)
            }
            close(file)
        }
    }

    /// Holds `user`, if nothing of it is there.
    func take(_ user: uid_t) throws(Refusal) {
        guard held[user] == nil else { throw .held }
        let file = Posix.open(folder, Array("\(user)".utf8), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .failed(SystemFailure("open \(Self.path)/\(user)").text) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .held
        }
        guard psb_sweep_user(user, 0, nil) == 0 else {
            close(file)
            throw .busy
        }
        guard Posix.write(file, [UInt8(ascii: "1")]) else {
            let failure = SystemFailure("write \(Self.path)/\(user)")
            close(file)
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
        guard isSwept, let file = held.removeValue(forKey: user) else { return }
        ftruncate(file, 0)
        close(file)
    }
}
