import Glibc
import PosternSandboxWire

/// Adds up what is in a workspace, as its own user and from inside the sandbox. Links are not followed; a file with several names is counted
/// once for each, which errs on the safe side.
struct DiskMeter {
    private var usage = DiskWatch.Usage(bytes: 0, inodes: 0, isComplete: true)
    private let most: Int

    static func measure(_ root: Int32, most: Int) -> DiskWatch.Usage {
        var meter = DiskMeter(most: most)
        let folder = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return DiskWatch.Usage(bytes: 0, inodes: 0, isComplete: false) }
        meter.add(folder, depth: 0, shut: nil)
        return meter.usage
    }

    private init(most: Int) { self.most = most }

    /// Takes over `folder`. `shut`: the rights that it gets back after it has been looked into.
    private mutating func add(_ folder: Int32, depth: Int, shut: mode_t?) {
        defer {
            if let shut { fchmod(folder, shut) }
            close(folder)
        }
        guard depth < DiskWatch.deepest, let names = Posix.names(of: folder) else {
            usage.isComplete = false
            return
        }
        for name in names {
            guard usage.inodes < most else { return }
            guard let info = Posix.status(folder, name, follow: false) else { continue }
            usage.inodes += 1
            usage.bytes += Int(info.st_blocks) * 512
            guard Posix.isKind(info, S_IFDIR) else { continue }
            var shut: mode_t?
            let next = Self.open(folder, name, info, &shut)
            if next >= 0 { add(next, depth: depth + 1, shut: shut) } else if errno != ENOENT { usage.isComplete = false }
        }
    }

    /// A folder that its owner has shut is opened for the moment: nothing is hidden in one.
    private static func open(_ parent: Int32, _ name: [UInt8], _ info: stat, _ shut: inout mode_t?) -> Int32 {
        let rights = info.st_mode & 0o777
        if rights & 0o500 != 0o500, info.st_uid == geteuid() {
            guard Posix.withPath(name, { fchmodat(parent, $0, rights | 0o500, 0) }) == 0 else { return -1 }
            shut = rights
        }
        return Posix.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
}
