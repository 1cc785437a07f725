import Glibc
import PosternSandboxWire

/// Adds up what is in a folder, as its own user and from inside the sandbox, an entry at a time. Links are not followed; a file with several
/// names is counted once for each, which errs on the safe side. Holds an open folder for each level that it is deep, and no names.
struct FolderWalk {
    private struct Level {
        /// A `DIR`.
        var stream: OpaquePointer
        /// The rights that the folder gets back after it has been looked into.
        var shut: mode_t?
    }

    private var levels: [Level] = []
    private let most: Int
    private(set) var bytes = 0
    private(set) var entries = 0
    /// Everything was seen.
    private(set) var isComplete = true

    /// - Parameter most: entries after which it stops.
    init(_ root: Int32, most: Int) {
        self.most = most
        let folder = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 { enter(folder, shut: nil) } else { isComplete = false }
    }

    /// Looks at one more entry; `true` when there is none.
    mutating func step() -> Bool {
        guard let level = levels.last else { return true }
        errno = 0
        guard let entry = readdir(level.stream) else {
            if errno != 0 { isComplete = false }
            leave()
            return levels.isEmpty
        }
        withUnsafePointer(to: &entry.pointee.d_name) { name in
            name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)) { look(at: $0, in: level) }
        }
        return levels.isEmpty
    }

    /// Gives back what is open, and folders the rights that they had.
    mutating func end() {
        while !levels.isEmpty { leave() }
    }

    /// Of the folders that are open.
    var descriptors: [Int32] { levels.map { dirfd($0.stream) } }

    private mutating func look(at name: UnsafePointer<CChar>, in level: Level) {
        guard strcmp(name, ".") != 0, strcmp(name, "..") != 0 else { return }
        let folder = dirfd(level.stream)
        var info = stat()
        guard fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { return }
        guard entries < most else {
            isComplete = false
            end()
            return
        }
        entries += 1
        bytes += Int(info.st_blocks) * 512
        guard Posix.isKind(info, S_IFDIR) else { return }
        var shut: mode_t?
        let next = Self.open(folder, name, info, &shut)
        if next >= 0 { enter(next, shut: shut) } else if errno != ENOENT { isComplete = false }
    }

    /// Takes over `folder`.
    private mutating func enter(_ folder: Int32, shut: mode_t?) {
        guard levels.count < DiskWatch.deepest, let stream = fdopendir(folder) else {
            isComplete = false
            Self.restore(folder, shut)
            close(folder)
            return
        }
        levels.append(Level(stream: stream, shut: shut))
    }

    private mutating func leave() {
        let level = levels.removeLast()
        Self.restore(dirfd(level.stream), level.shut)
        closedir(level.stream)
    }

    /// Unless a program has given it other rights meanwhile.
    private static func restore(_ folder: Int32, _ shut: mode_t?) {
        guard let shut, let info = Posix.status(folder), info.st_mode & 0o7777 == shut | 0o500 else { return }
        fchmod(folder, shut)
    }

    /// A folder that its owner has shut is opened for the moment: nothing is hidden in one.
    private static func open(_ parent: Int32, _ name: UnsafePointer<CChar>, _ info: stat, _ shut: inout mode_t?) -> Int32 {
        let rights = info.st_mode & 0o7777
        if rights & 0o500 != 0o500, info.st_uid == geteuid() {
            guard fchmodat(parent, name, rights | 0o500, 0) == 0 else { return -1 }
            shut = rights
        }
        return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
}
