import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The refusal of a verb, for the worker and its user.
struct SpawnerFailure: Error {
    var text: String
}

/// Opens and makes the folders of a session, given descriptors of their parents: no path is walked here, no link followed.
enum SessionFolders {
    /// A name that is one part of a path and nothing else.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255 && !name.utf8.contains(where: { $0 == 0x2F || $0 == 0 })
    }

    /// A folder and its owner.
    struct Folder {
        var descriptor: Int32
        var user: uid_t
        var group: gid_t
    }

    /// The folder itself, if `descriptor` is one.
    static func existing(_ descriptor: Int32, _ what: String) throws(SpawnerFailure) -> Folder {
        guard let info = Posix.status(descriptor), Posix.isKind(info, S_IFDIR) else { throw SpawnerFailure(text: "the \(what) is not a folder") }
        return Folder(descriptor: descriptor, user: info.st_uid, group: info.st_gid)
    }

    /// The folder `name` in `parent`, made for `owner` (of root spawners) if it is not there. `nil` when it is missing and `make` is not set.
    static func open(_ name: String, in parent: Int32, make: Bool, owner: uid_t?, _ what: String) throws(SpawnerFailure) -> Folder? {
        guard isName(name) else { throw SpawnerFailure(text: "'\(name)' is no name for a \(what)") }
        let bytes = Array(name.utf8)
        var isNew = false
        if make {
            // Born closed; given to its owner before anybody can be in it.
            isNew = Posix.withPath(bytes) { mkdirat(parent, $0, 0o700) } == 0
            if !isNew, errno != EEXIST { throw SpawnerFailure(text: "the \(what) '\(name)' cannot be made: \(SystemError.reason(errno))") }
        }
        let descriptor = Posix.open(parent, bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw SpawnerFailure(text: "the \(what) '\(name)' cannot be opened: \(SystemError.reason(errno))") }
        if isNew, let owner, fchown(descriptor, owner, owner) < 0 {
            close(descriptor)
            throw SpawnerFailure(text: "the \(what) '\(name)' cannot be given to user \(owner): \(SystemError.reason(errno))")
        }
        return try existing(descriptor, what)
    }

    /// Owners of what lies in `parent`, with the name of something that is theirs: their users are taken by sessions that may come back.
    static func owners(in parent: Int32) -> [uid_t: String] {
        let own = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { return [:] }
        defer { close(own) }
        var found: [uid_t: String] = [:]
        for name in Posix.names(of: own) ?? [] {
            if let info = Posix.status(own, name, follow: false) { found[info.st_uid] = String(decoding: name, as: UTF8.self) }
        }
        return found
    }

    /// A detached mount of `folder` in which its owner is `user`; `outer` is the worker's mount namespace.
    static func mount(_ folder: Folder, as user: uid_t, outer: Int32) throws(SpawnerFailure) -> Int32 {
        let tree = psb_clone_mount(folder.descriptor, outer)
        guard tree >= 0 else { throw SpawnerFailure(text: "a folder of the session cannot be mounted: \(SystemError.reason(-tree))") }
        guard folder.user != user else { return tree }
        let result = psb_map_owner(tree, folder.user, folder.group, user, user)
        guard result >= 0 else {
            close(tree)
            throw SpawnerFailure(text: SystemError.reason(-result))
        }
        return tree
    }
}
