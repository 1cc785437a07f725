import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Reads what overlayfs has kept of a session's changes, and makes the same changes in the folder itself. Neither side's links are
/// followed: every step is one name in a folder that is held open. What is made belongs to the owner of the folder, and has no set-id bits.
///
/// Nothing of the folder is touched before all that is new lies beside it: first everything is looked at and its size added up, then files and
/// links are made in a folder of their own, and at last they are moved to where they belong.
struct ChangesApplier {
    private let owner: stat
    /// Where what is new waits; -1 while nothing is made.
    private var staging: Int32 = -1
    /// The files and links that are not as in the workspace, by their paths, and their names in `staging`.
    private var changed: [[UInt8]: Int] = [:]
    private var need: DiskNeed
    private var report = ChangesReport()
    private var entries = 0

    private static let mostEntries = 1_000_000
    private static let deepest = 200

    private var isApplying: Bool { staging >= 0 }

    /// - Parameters:
    ///   - changes: the folder of `ChangesFolder`.
    ///   - target: the workspace itself.
    static func run(_ order: ChangesOrder, changes: Int32, target: Int32) -> ChangesReport {
        var report = ChangesReport()
        let upper = Posix.open(changes, Array(ChangesFolder.upper.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        // A session that never started has changed nothing.
        if upper < 0, errno == ENOENT { return report }
        guard upper >= 0, let owner = Posix.status(target), Posix.isKind(owner, S_IFDIR), let need = DiskNeed(on: target) else {
            report.add(.init(.failed, "", detail: SystemError.reason(errno)))
            return report
        }
        defer { close(upper) }
        if order.action == .apply, !order.acceptsFindings, let refused = refusedByScan(upper) { return refused }
        if order.action != .discard {
            var applier = ChangesApplier(owner, need)
            applier.merge(upper, target, [])
            if order.action == .apply { applier.apply(upper, target, order) }
            report = applier.report
        }
        if order.action == .discard || order.action == .apply && report.isComplete && report.refusal == nil {
            for name in [ChangesFolder.upper, ChangesFolder.work] {
                let code = TreeRemoval.remove(changes, Array(name.utf8))
                if code != 0 { report.add(.init(.failed, name, detail: SystemError.reason(code))) }
            }
        }
        return report
    }

    private static func refusedByScan(_ upper: Int32) -> ChangesReport? {
        let scan = WorkspaceScan.run(openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        // Devices are left out anyway.
        let dangers = scan.counts.reduce(0) { $1.key == .device || $1.key == .unseen ? $0 : $0 + $1.value }
        guard dangers > 0 || !scan.isComplete else { return nil }
        var report = ChangesReport()
        report.scan = scan
        report.refusal = .init(
            .findings, dangers > 0 ? "the changes hold what is dangerous outside of a sandbox" : "not all of the changes could be looked at")
        return report
    }

    private init(_ owner: stat, _ need: DiskNeed) {
        (self.owner, self.need) = (owner, need)
    }

    /// Everything has been looked at.
    private mutating func apply(_ upper: Int32, _ target: Int32, _ order: ChangesOrder) {
        guard report.isComplete else { return refuse(.init(.failed, "not all of the changes can be read")) }
        if let refusal = need.refusal(most: order.mostBytes, of: target) { return refuse(refusal) }
        // What a session could guess, it could put into its changes.
        let name = Array(".postern-apply-\(UInt64.random(in: .min ... .max))".utf8)
        guard Posix.withPath(name, { mkdirat(target, $0, 0o700) }) == 0 else {
            fail([name], SystemError.reason(errno))
            return refuse(.init(.failed, "no folder can be made in the workspace"))
        }
        defer { _ = TreeRemoval.remove(target, name) }
        staging = Posix.open(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard staging >= 0 else {
            fail([name], SystemError.reason(errno))
            return refuse(.init(.failed, "the folder for copies cannot be opened"))
        }
        defer { close(staging) }
        report = ChangesReport()
        stage(upper, [])
        guard report.isComplete else { return refuse(.init(.failed, "not all of the changes can be copied")) }
        entries = 0
        merge(upper, target, [])
    }

    private mutating func refuse(_ refusal: ChangesReport.Refusal) {
        report = report.failures
        report.refusal = refusal
    }

    // MARK: Staging

    private mutating func stage(_ upper: Int32, _ path: [[UInt8]]) {
        guard let names = Posix.names(of: upper) else { return fail(path, SystemError.reason(errno)) }
        for name in names where report.isComplete {
            guard let info = Posix.status(upper, name, follow: false) else { continue }
            let inner = path + [name]
            if Posix.isKind(info, S_IFDIR) {
                let folder = Posix.open(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                guard folder >= 0 else { return fail(inner, SystemError.reason(errno)) }
                defer { close(folder) }
                stage(folder, inner)
            } else if let number = changed[Self.key(inner)] {
                let code = stage(upper, name, info, as: Self.stagedName(number))
                guard code == 0 else { return fail(inner, SystemError.reason(code)) }
            }
        }
    }

    /// 0 or the errno.
    private func stage(_ upper: Int32, _ name: [UInt8], _ info: stat, as copyName: [UInt8]) -> Int32 {
        if Posix.isKind(info, S_IFLNK) {
            guard let text = Posix.link(upper, name) else { return errno }
            let made = Posix.withPath(text) { text in Posix.withPath(copyName) { symlinkat(text, staging, $0) } }
            return made == 0 && give(staging, copyName) ? 0 : errno
        }
        let source = Posix.open(upper, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard source >= 0 else { return errno }
        defer { close(source) }
        let copy = Posix.open(staging, copyName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard copy >= 0 else { return errno }
        defer { close(copy) }
        guard SparseFile.copy(source, copy), give(staging, copyName), fchmod(copy, info.st_mode & 0o777) == 0, fdatasync(copy) == 0 else {
            return errno
        }
        return 0
    }

    private static func stagedName(_ number: Int) -> [UInt8] { Array(String(number).utf8) }

    private static func key(_ path: [[UInt8]]) -> [UInt8] { Array(path.joined(separator: [UInt8(ascii: "/")])) }

    // MARK: Looking and moving

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
            if let old, isMounted(target, name, old) {
                // Nothing can be moved there, and the session has seen what lies under it.
                fail(inner, "a file system of its own is mounted there: unmount it, or make these changes by hand")
                continue
            }
            switch info.st_mode & S_IFMT {
            case S_IFCHR where info.st_rdev == 0: delete(target, name, inner, old)
            case S_IFDIR: folder(upper, target, name, inner, info, old)
            case S_IFREG: file(upper, target, name, inner, info, old)
            case S_IFLNK: link(upper, target, name, inner, old)
            default: report.add(.init(.skipped, NameText.of(inner), detail: "not a file, a folder or a link"))
            }
        }
    }

    /// Whether something else is mounted over `name`: another file system, or another part of this one (mount ids, proc(5)).
    private func isMounted(_ target: Int32, _ name: [UInt8], _ old: stat) -> Bool {
        if old.st_dev != owner.st_dev { return true }
        guard Posix.isKind(old, S_IFDIR) || Posix.isKind(old, S_IFREG) else { return false }
        let entry = Posix.open(target, name, psb_open_path | O_NOFOLLOW)
        guard entry >= 0 else { return false }
        defer { close(entry) }
        return MountCheck.mountID(of: entry) != MountCheck.mountID(of: target)
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
            } else {
                need.addEntry()
            }
            report.add(.init(old == nil ? .added : .replaced, NameText.of(path)))
        } else if let old, old.st_mode & 0o777 != info.st_mode & 0o777 {
            report.add(.init(.modified, NameText.of(path), detail: "mode"))
        }
        var below: Int32 = -1
        if isApplying || isKept {
            below = Posix.open(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard below >= 0 else { return fail(path, SystemError.reason(errno)) }
            // Its owner may have shut it; it gets its rights below.
            if isApplying, isKept, let old, old.st_mode & 0o300 != 0o300 { fchmod(below, old.st_mode & 0o777 | 0o300) }
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
        let wasFile = old.map { Posix.isKind($0, S_IFREG) } ?? false
        if isApplying {
            guard move(target, name, path, old) else { return }
        } else {
            let source = Posix.open(upper, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            guard source >= 0 else { return fail(path, SystemError.reason(errno)) }
            defer { close(source) }
            // Opened for writing and left as it was: overlayfs has a copy all the same.
            if wasFile, let old, old.st_size == info.st_size, old.st_mode & 0o777 == info.st_mode & 0o777, isEqual(source, target, name) { return }
            guard need.addFile(source) else { return fail(path, SystemError.reason(errno)) }
            changed[Self.key(path)] = changed.count
        }
        report.add(.init(old == nil ? .added : wasFile ? .modified : .replaced, NameText.of(path), bytes: Int(info.st_size)))
    }

    private mutating func link(_ upper: Int32, _ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ old: stat?) {
        guard let text = Posix.link(upper, name) else { return fail(path, SystemError.reason(errno)) }
        if isApplying {
            guard move(target, name, path, old) else { return }
        } else {
            if let old, Posix.isKind(old, S_IFLNK), Posix.link(target, name) == text { return }
            need.addEntry()
            changed[Self.key(path)] = changed.count
        }
        report.add(.init(old == nil ? .added : .replaced, NameText.of(path), detail: "link to \(NameText.of(text))"))
    }

    /// Moves what was made for `path` to its place: whoever reads sees the old or the new. `false` where nothing was to be done, or it failed.
    private mutating func move(_ target: Int32, _ name: [UInt8], _ path: [[UInt8]], _ old: stat?) -> Bool {
        guard let number = changed[Self.key(path)] else { return false }
        var code: Int32 = 0
        if let old, Posix.isKind(old, S_IFDIR) { code = TreeRemoval.remove(target, name) }
        if code == 0, Posix.withPath(Self.stagedName(number), { from in Posix.withPath(name) { renameat(staging, from, target, $0) } }) < 0 {
            code = errno
        }
        if code != 0 { fail(path, SystemError.reason(code)) }
        return code == 0
    }

    private func give(_ target: Int32, _ name: [UInt8]) -> Bool {
        geteuid() != 0 || Posix.withPath(name) { fchownat(target, $0, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) } == 0
    }

    // MARK: Content

    private func isEqual(_ source: Int32, _ target: Int32, _ name: [UInt8]) -> Bool {
        let other = Posix.open(target, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard other >= 0 else { return false }
        defer { close(other) }
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
