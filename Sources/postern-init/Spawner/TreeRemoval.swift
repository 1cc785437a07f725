import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Removes a folder and all below it. No link is followed and no path is put together: the walk holds the folder it is in, and going
/// up is believed only if it arrives where it came from. Its memory is bounded by the depth, its descriptors by two.
enum TreeRemoval {
    /// 0, or the errno of what stood in the way. A missing folder is no error.
    static func remove(_ parent: Int32, _ name: [UInt8]) -> Int32 {
        guard let info = Posix.status(parent, name, follow: false) else { return errno == ENOENT ? 0 : errno }
        guard Posix.isKind(info, S_IFDIR) else { return Posix.withPath(name) { unlinkat(parent, $0, 0) } < 0 ? errno : 0 }
        var current = openFolder(parent, name)
        guard current >= 0, let own = Posix.status(current) else { return errno }
        defer { close(current) }
        var above: [(device: dev_t, inode: ino_t, name: [UInt8])] = []
        var here = (own.st_dev, own.st_ino)
        while true {
            var below: [UInt8]?
            for entry in Posix.names(of: current) ?? [] {
                if Posix.withPath(entry, { unlinkat(current, $0, 0) }) == 0 { continue }
                if errno == EISDIR || errno == EPERM, Posix.withPath(entry, { unlinkat(current, $0, AT_REMOVEDIR) }) == 0 { continue }
                guard errno == ENOTEMPTY || errno == EEXIST else { return errno }
                below = entry
                break
            }
            if let below {
                let next = openFolder(current, below)
                guard next >= 0, let info = Posix.status(next) else { return errno }
                above.append((here.0, here.1, below))
                close(current)
                current = next
                here = (info.st_dev, info.st_ino)
                continue
            }
            guard let last = above.popLast() else { break }
            let up = openat(current, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard up >= 0, let info = Posix.status(up) else { return errno }
            close(current)
            current = up
            guard info.st_dev == last.device, info.st_ino == last.inode else { return ESTALE }
            here = (last.device, last.inode)
            guard Posix.withPath(last.name, { unlinkat(current, $0, AT_REMOVEDIR) }) == 0 else { return errno }
        }
        return Posix.withPath(name) { unlinkat(parent, $0, AT_REMOVEDIR) } < 0 ? errno : 0
    }

    /// Opens a folder; one that its owner has shut is opened to its owner first.
    private static func openFolder(_ parent: Int32, _ name: [UInt8]) -> Int32 {
        let folder = Posix.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        if folder >= 0 {
            // Entries can be removed only from a folder that may be written and searched.
            if geteuid() != 0, let info = Posix.status(folder), info.st_mode & 0o300 != 0o300 { fchmod(folder, 0o700) }
            return folder
        }
        guard errno == EACCES else { return folder }
        // By descriptor: a name could have become a link by now.
        let shut = Posix.open(parent, name, psb_open_path | O_DIRECTORY | O_NOFOLLOW)
        guard shut >= 0 else { return shut }
        defer { close(shut) }
        guard chmod("/proc/self/fd/\(shut)", 0o700) == 0 else { return -1 }
        return Posix.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
}
