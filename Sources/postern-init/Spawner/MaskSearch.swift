import Glibc
import PosternSandboxWire

/// Looks through the trees of one sandbox for what `TreeMasks` mean, without following links, in bounded time, into those folders only in
/// which something can match. What cannot be looked into and might be later, by the session, is hidden as a whole.
struct MaskSearch {
    /// Of all trees of a sandbox together. More mounts make starts slow and argument lists long; a folder is hidden as easily.
    static let mostMasks = 1000
    /// Of all trees together: one or two seconds.
    static let mostEntries = 500_000
    private static let deepest = 64
    /// Of a path below its tree; with the tree's own, paths of mounts stay below PATH_MAX.
    private static let longest = 2048

    /// Whom the session is, seen from the tree on disk. Folders that it can never enter need no masks, and could not be given any.
    enum Viewer {
        /// This process's own user: the kernel's answers are those that the session gets.
        case same
        /// Another one than this process, which is root: owner and group on disk, after mapping.
        case other(user: uid_t, group: gid_t)
    }

    private var entries = 0
    private var masks = 0

    /// - Parameters:
    ///   - root: the tree as it will be shown: with the mounts in it that the session will see, and no others.
    ///   - isWritable: in a tree that is only read nothing can be changed or renamed, so `protected` and pins are left out.
    ///   - what: the tree, for errors.
    mutating func find(
        _ rules: TreeMasks, in root: Int32, _ what: String, for viewer: Viewer, isWritable: Bool
    ) throws(SpawnerFailure) -> [TreeMasks.Found] {
        let protected = isWritable ? rules.protected : []
        guard !rules.hidden.isEmpty || !protected.isEmpty else { return [] }
        var walk = Walk(hidden: rules.hidden, protected: protected, what: what, viewer: viewer)
        let place = Place(hidden: rules.hidden.map(\.start), protected: protected.map(\.start))
        try look(root, place, &walk)
        var found = walk.found
        if isWritable {
            var pinned: Set<[[UInt8]]> = []
            for (path, depth) in walk.paths {
                for length in 1..<max(1, depth) { pinned.insert(Array(path.prefix(length))) }
            }
            for path in pinned { found.append(TreeMasks.Found(path: try walk.text(path), kind: .pin, depth: path.count)) }
            masks += found.count - walk.found.count
            try checkMasks(what)
        }
        return found.sorted(by: TreeMasks.Found.isBefore)
    }

    private func checkMasks(_ what: String) throws(SpawnerFailure) {
        guard masks <= Self.mostMasks else {
            throw SpawnerFailure(
                text: "more than \(Self.mostMasks) files and folders are hidden or protected, the last of them in \(what): name whole folders")
        }
    }

    // MARK: The walk

    /// What is the same all through one tree, and what has been found.
    private struct Walk {
        let hidden: [PathGlob]
        let protected: [PathGlob]
        let what: String
        let viewer: Viewer
        var found: [TreeMasks.Found] = []
        /// The paths of `found`; the folders above `depth` parts can be renamed unless they are pinned.
        var paths: [(path: [[UInt8]], depth: Int)] = []

        func text(_ path: [[UInt8]]) throws(SpawnerFailure) -> String {
            guard let text = String(validating: path.joined(separator: [0x2F]), as: UTF8.self) else {
                throw SpawnerFailure(text: "in \(what) a file that is to be hidden or protected has a name that is not UTF-8: rename it")
            }
            return text
        }
    }

    /// A folder or file, and how far each pattern has read its path.
    private struct Place {
        var path: [[UInt8]] = []
        var length = 0
        var hidden: [PathGlob.Progress]
        var protected: [PathGlob.Progress]
        /// Parts of the path that lead to something protected, which cannot be renamed with what is in it. A pin below it would make the
        /// place writable again.
        var shelter: Int?

        func entry(_ name: [UInt8], _ walk: Walk) -> Place {
            Place(
                path: path + [name], length: length + name.count + 1, hidden: zip(walk.hidden, hidden).map { $0.next($1, name) },
                protected: zip(walk.protected, protected).map { $0.next($1, name) }, shelter: shelter)
        }
    }

    private mutating func look(_ folder: Int32, _ place: Place, _ walk: inout Walk) throws(SpawnerFailure) {
        guard let names = Posix.names(of: folder) else { throw unseen(place, walk) }
        for name in names {
            entries += 1
            guard entries <= Self.mostEntries else {
                throw SpawnerFailure(
                    text: "\(walk.what) has too many files to look for what is hidden and protected, more than \(Self.mostEntries) with those "
                        + "before it: bind a smaller folder, or use patterns without '**'")
            }
            try visit(folder, name, place.entry(name, walk), &walk)
        }
    }

    private mutating func visit(_ folder: Int32, _ name: [UInt8], _ place: Place, _ walk: inout Walk) throws(SpawnerFailure) {
        let isHidden = zip(walk.hidden, place.hidden).contains { $0.isMatch($1) }
        let isProtected = !isHidden && place.shelter == nil && zip(walk.protected, place.protected).contains { $0.isMatch($1) }
        // Below what is protected something may yet be hidden.
        let goesOn =
            !isHidden
            && (zip(walk.hidden, place.hidden).contains { $0.canGoOn($1) } || zip(walk.protected, place.protected).contains { $0.canGoOn($1) })
        guard isHidden || isProtected || goesOn, let info = Posix.status(folder, name, follow: false) else { return }
        // A mount on a link would land where it leads. The link itself tells nothing but a name.
        guard !Posix.isKind(info, S_IFLNK) else { return }
        let isFolder = Posix.isKind(info, S_IFDIR)
        if isHidden { return try mask(place, isFolder ? .hiddenFolder : .hiddenFile, &walk) }
        guard isFolder, goesOn else {
            if isProtected { try mask(place, .protected, &walk) }
            return
        }
        switch try open(folder, name, info, place, walk) {
        case .nothing: if isProtected { try mask(place, .protected, &walk) }
        case .shut: try mask(place, .hiddenFolder, &walk)
        case .folder(let next):
            defer { close(next) }
            var place = place
            if isProtected {
                try mask(place, .protected, &walk)
                place.shelter = place.path.count
            }
            try look(next, place, &walk)
        }
    }

    private mutating func mask(_ place: Place, _ kind: TreeMasks.Kind, _ walk: inout Walk) throws(SpawnerFailure) {
        masks += 1
        try checkMasks(walk.what)
        walk.found.append(TreeMasks.Found(path: try walk.text(place.path), kind: kind, depth: place.path.count))
        walk.paths.append((place.path, place.shelter ?? place.path.count))
    }

    // MARK: Folders

    private enum Inner {
        case folder(Int32)
        /// Gone meanwhile, or nothing that the session could ever enter.
        case nothing
        /// The session might get in where this process did not look.
        case shut
    }

    private func open(_ folder: Int32, _ name: [UInt8], _ info: stat, _ place: Place, _ walk: Walk) throws(SpawnerFailure) -> Inner {
        guard Self.canEnter(info, walk.viewer) else { return .nothing }
        guard place.path.count < Self.deepest, place.length < Self.longest else { return .shut }
        let next = Posix.open(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard next < 0 else { return .folder(next) }
        switch errno {
        case ENOENT, ENOTDIR, ELOOP: return .nothing
        case EACCES, EPERM:
            guard case .same = walk.viewer else { return .shut }
            // Who owns a folder can open it up; one that can be searched but not listed gives what is asked for by name.
            return info.st_uid == geteuid() || Posix.status(folder, name + Array("/.".utf8), follow: false) != nil ? .shut : .nothing
        default: throw unseen(place, walk)
        }
    }

    private static func canEnter(_ info: stat, _ viewer: Viewer) -> Bool {
        guard case .other(let user, let group) = viewer, info.st_uid != user else { return true }
        return info.st_mode & (info.st_gid == group ? 0o010 : 0o001) != 0
    }

    private func unseen(_ place: Place, _ walk: Walk) -> SpawnerFailure {
        SpawnerFailure(
            text:
                "\(walk.what) cannot be looked through for what is hidden and protected, at '\(NameText.of(place.path))': \(SystemError.reason(errno))"
        )
    }
}
