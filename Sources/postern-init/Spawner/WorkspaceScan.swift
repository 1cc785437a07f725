import Glibc
import PosternSandboxWire

/// Walks a workspace and tells what `WorkspaceRules` finds. No link is followed; depth, number and time are bounded, and what lies beyond
/// is said to be unseen.
struct WorkspaceScan {
    private var report = WorkspaceScanReport()
    private let deadline = monotonicMicroseconds() + 30_000_000

    private static let mostEntries = 1_000_000
    private static let deepest = 200
    private static let mostConfiguration = 256 << 10

    /// Takes over `folder`.
    static func run(_ folder: Int32) -> WorkspaceScanReport {
        var scan = WorkspaceScan()
        scan.look(folder, [])
        return scan.report
    }

    private var isOver: Bool { report.entries >= Self.mostEntries || monotonicMicroseconds() > deadline }

    /// - Parameter belowRepository: how many folders down from a repository that is not named `.git`; 0 where it is in none.
    private mutating func look(_ folder: Int32, _ path: [[UInt8]], belowRepository: Int = 0) {
        defer { close(folder) }
        guard path.count < Self.deepest, let names = Posix.names(of: folder) else {
            report.add(
                .init(.unseen, NameText.of(path), path.count < Self.deepest ? SystemError.reason(errno) : "more than \(Self.deepest) folders deep"))
            return
        }
        let repository = WorkspaceRules.bareRepository(path, entries: names)
        if let repository { report.add(repository) }
        let below = repository != nil ? 1 : belowRepository == 1 ? 2 : 0
        for name in names {
            guard !isOver else {
                report.isComplete = false
                return
            }
            report.entries += 1
            guard let info = Posix.status(folder, name, follow: false) else { continue }
            // A copy-on-write workspace's note that a file is gone: a character device of number 0, which opens to nothing.
            if info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == 0 { continue }
            visit(folder, path + [name], name, info, below)
        }
    }

    private mutating func visit(_ folder: Int32, _ path: [[UInt8]], _ name: [UInt8], _ info: stat, _ below: Int) {
        let kind = Self.kind(info)
        let target = kind == .link ? Posix.link(folder, name) : nil
        for finding in WorkspaceRules.findings(path, kind, mode: info.st_mode, target: target, belowRepository: below) { report.add(finding) }
        if kind == .file, WorkspaceRules.isGitConfiguration(path, belowRepository: below) { readConfiguration(folder, name, path, info) }
        guard kind == .folder else { return }
        let next = Posix.open(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard next >= 0 else {
            report.add(.init(.unseen, NameText.of(path), SystemError.reason(errno)))
            return
        }
        look(next, path, belowRepository: below)
    }

    private mutating func readConfiguration(_ folder: Int32, _ name: [UInt8], _ path: [[UInt8]], _ info: stat) {
        let text = NameText.of(path)
        guard info.st_size <= Self.mostConfiguration else {
            report.add(.init(.gitConfiguration, text, "too large to be read"))
            return
        }
        let file = Posix.open(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            report.add(.init(.unseen, text, SystemError.reason(errno)))
            return
        }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: Self.mostConfiguration)
        let count = bytes.withUnsafeMutableBytes { Posix.read(file, into: $0) } ?? 0
        for setting in WorkspaceRules.gitSettings(String(decoding: bytes[..<count], as: UTF8.self)) {
            report.add(.init(.gitConfiguration, text, setting))
        }
    }

    private static func kind(_ info: stat) -> WorkspaceRules.EntryKind {
        switch info.st_mode & S_IFMT {
        case S_IFDIR: .folder
        case S_IFLNK: .link
        case S_IFSOCK: .socket
        case S_IFIFO: .fifo
        case S_IFCHR, S_IFBLK: .device
        default: .file
        }
    }
}
