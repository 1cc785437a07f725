import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Reads what overlayfs has kept of a session's changes, and makes the same changes in the folder itself. Neither side's links are
/// followed: every step is one name in a folder that is held open. What is made belongs to the owner of the folder, and has no set-id bits.
struct ChangesApplier {
    private let isApplying: Bool
    private let owner: stat
    private var report = ChangesReport()
    private var entries = 0

    private static let mostEntries = 1_000_000
    private static let deepest = 200

    /// - Parameters:
    ///   - changes: the folder of `ChangesFolder`.
    ///   - target: the workspace itself.
    static func run(_ action: ChangesAction, changes: Int32, target: Int32) -> ChangesReport {
        var report = ChangesReport()
        let upper = Posix.open(changes, Array(ChangesFolder.upper.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        // A session that never started has changed nothing.
        if upper < 0, errno == ENOENT { return report }
        guard upper >= 0, let owner = Posix.status(target), Posix.isKind(owner, S_IFDIR) else {
            report.add(.init(.failed, "", detail: SystemError.reason(errno)))
            return report
        }
        defer { close(upper) }
        if action != .discard {
            var applier = ChangesApplier(isApplying: action == .apply, owner: owner)
            applier.merge(upper, target, [])
            report = applier.report
        }
        if action == .discard || action == .apply && report.isComplete {
            for name in [ChangesFolder.upper, ChangesFolder.work] {
                let code = TreeRemoval.remove(changes, Array(name.utf8))
                if code != 0 { report.add(.init(.failed, name, detail: SystemError.reason(code))) }
            }
        }
        return report
    }

    private init(isApplying: Bool, owner: stat) {
        self.isApplying = isApplying
        self.owner = owner
    }

    /// `target` is -1 where there is no such folder yet, which is only while looking.
    private mutating func merge(_ upper: Int32, _ target: Int32, _ path: [[UInt8]]) {
        guard path.count < Self.deepest else { return fail(path, "more than \(Self.deepest) folders deep") }
        guard let names = Posix.names(of: upper) else { return fail(path, SystemError.reason(errno)) }
        for name in names {
            entries += 1
            guard entries <= Self.mostEntries else { return fail(path, "more than \(Self.mostEntries) changes") }
            guard let info = Posix.status(upper, name, follow: false) else { continue }
            let old = target >= 0 ? Posix.status(target, name, follow: false) : nil
            let inner = path + [name]
            switch info.st_mode & S_IFMT {
            case S_IFCHR where info.st_rdev == 0: delete(target, name, inner, old)
            case S_IFDIR: folder(upper, target, name, inner, info, old)
            case S_IFREG: file(upper, target, name, inner, info, old)
            case S_IFLNK: link(upper, target, name, inner, old)
            default: report.add(.init(.skipped, NameText.of(inner), detail: "not a file, a folder or a link"))
            }
        }
    }

    private mutating func fail(_ path: [[UInt8]], _ reason: String) {
        report.add(.init(.failed, NameText.of(path), detail: reason))
    }

    private mutating func delete(_ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ old: stat?) {
        guard old != nil else { return }
        if isApplying {
            let code = TreeRemoval.remove(target, name)
            guard code == 0 else { return fail(path, SystemError.reason(code)) }
        }
        report.add(.init(.deleted, NameText.of(path)))
    }

    private mutating func folder(_ upper: Int32, _ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ info: stat, _ old: stat?) {
        let inner = Posix.open(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard inner >= 0 else { return fail(path, SystemError.reason(errno)) }
        defer { close(inner) }
        let wasFolder = old.map { Posix.isKind($0, S_IFDIR) } ?? false
        let isKept = wasFolder && !Self.isOpaque(inner)
        if !isKept {
            if isApplying {
                guard makeFolder(target, name, path, old) else { return }
            }
            report.add(.init(old == nil ? .added : .replaced, NameText.of(path)))
        } else if let old, old.st_mode & 0o777 != info.st_mode & 0o777 {
            report.add(.init(.modified, NameText.of(path), detail: "mode"))
        }
        var below: Int32 = -1
        if isApplying || isKept {
            below = Posix.open(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard below >= 0 else { return fail(path, SystemError.reason(errno)) }
        }
        defer { if below >= 0 { close(below) } }
        merge(inner, below, path)
        // At last, so that a folder without rights can be filled first.
        if isApplying { fchmod(below, info.st_mode & 0o777) }
    }

    private mutating func makeFolder(_ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ old: stat?) -> Bool {
        if old != nil {
            let code = TreeRemoval.remove(target, name)
            guard code == 0 else {
                fail(path, SystemError.reason(code))
                return false
            }
        }
        guard Posix.withPath(name, { mkdirat(target, $0, 0o700) }) == 0, give(target, name) else {
            fail(path, SystemError.reason(errno))
            return false
        }
        return true
    }

    /// overlayfs marks a folder that hides all of the one below it.
    private static func isOpaque(_ folder: Int32) -> Bool {
        psb_attribute_is(folder, "user.overlay.opaque", CChar(UInt8(ascii: "y"))) == 1
    }

    private mutating func file(_ upper: Int32, _ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ info: stat, _ old: stat?) {
        let source = Posix.open(upper, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard source >= 0 else { return fail(path, SystemError.reason(errno)) }
        defer { close(source) }
        let wasFile = old.map { Posix.isKind($0, S_IFREG) } ?? false
        // Opened for writing and left as it was: overlayfs has a copy all the same.
        if wasFile, let old, old.st_size == info.st_size, old.st_mode & 0o777 == info.st_mode & 0o777, isEqual(source, target, name) { return }
        if isApplying {
            let code = replace(target, name, old) { (temporary: [UInt8]) -> Int32 in
                let copy = Posix.open(target, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
                guard copy >= 0 else { return errno }
                defer { close(copy) }
                guard Self.copy(source, copy), fchmod(copy, info.st_mode & 0o777) == 0, fdatasync(copy) == 0 else { return errno }
                return 0
            }
            guard code == 0 else { return fail(path, SystemError.reason(code)) }
        }
        report.add(.init(old == nil ? .added : wasFile ? .modified : .replaced, NameText.of(path), bytes: Int(info.st_size)))
    }

    private mutating func link(_ upper: Int32, _ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ old: stat?) {
        guard let text = Posix.link(upper, name) else { return fail(path, SystemError.reason(errno)) }
        if let old, Posix.isKind(old, S_IFLNK), Posix.link(target, name) == text { return }
        if isApplying {
            let code = replace(target, name, old) { (temporary: [UInt8]) -> Int32 in
                Posix.withPath(text) { text in Posix.withPath(temporary) { symlinkat(text, target, $0) } } == 0 ? 0 : errno
            }
            guard code == 0 else { return fail(path, SystemError.reason(code)) }
        }
        report.add(.init(old == nil ? .added : .replaced, NameText.of(path), detail: "link to \(NameText.of(text))"))
    }

    /// Makes something beside `name` and moves it there: whoever reads sees the old or the new. 0 or the errno.
    private func replace(_ target: Int32, _ name: [UInt8], _ old: stat?, _ make: ([UInt8]) -> Int32) -> Int32 {
        let temporary = Array(".postern-apply-\(getpid())-\(entries)".utf8)
        var code = make(temporary)
        if code == 0, !give(target, temporary) { code = errno }
        if code == 0, let old, Posix.isKind(old, S_IFDIR) { code = TreeRemoval.remove(target, name) }
        if code == 0, Posix.withPath(temporary, { from in Posix.withPath(name) { renameat(target, from, target, $0) } }) < 0 { code = errno }
        if code != 0 { _ = Posix.withPath(temporary) { unlinkat(target, $0, 0) } }
        return code
    }

    private func give(_ target: Int32, _ name: [UInt8]) -> Bool {
        geteuid() != 0 || Posix.withPath(name) { fchownat(target, $0, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) } == 0
    }

    // MARK: Content

    private static func copy(_ source: Int32, _ target: Int32) -> Bool {
        var isDone = false
        return withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 16) { buffer in
            while !isDone {
                guard let count = Posix.read(source, into: buffer) else { return false }
                isDone = count < buffer.count
                guard Posix.write(target, UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return false }
            }
            return true
        }
    }

    private func isEqual(_ source: Int32, _ target: Int32, _ name: [UInt8]) -> Bool {
        let other = Posix.open(target, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard other >= 0 else { return false }
        defer {
            close(other)
            lseek(source, 0, SEEK_SET)
        }
        return withUnsafeTemporaryAllocation(byteCount: 1 << 17, alignment: 16) { buffer in
            let half = buffer.count / 2
            let (one, two) = (UnsafeMutableRawBufferPointer(rebasing: buffer[..<half]), UnsafeMutableRawBufferPointer(rebasing: buffer[half...]))
            while true {
                guard let count = Posix.read(source, into: one), let same = Posix.read(other, into: two), count == same else { return false }
                guard let first = one.baseAddress, let second = two.baseAddress, memcmp(first, second, count) == 0 else { return false }
                if count < half { return true }
            }
        }
    }
}
