import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Parts of a workspace that a session may not see (`hidden`) or not change (`protected`), found when a sandbox starts. Hidden wins.
/// What matches and is not there then cannot be masked, and needs not to be: it can only be the session's own.
struct WorkspaceMasks {
    let hidden: [PathGlob]
    let protected: [PathGlob]

    var isEmpty: Bool { hidden.isEmpty && protected.isEmpty }

    enum Kind: Hashable {
        case hiddenFolder, hiddenFile, protected
        /// An ancestor of one: bound on itself, so that it cannot be renamed away with what is below it.
        case pin
    }

    struct Found {
        /// Below the workspace.
        var path: String
        var kind: Kind
        var depth: Int
    }

    /// More make starts slow and argument lists long; a folder is hidden as easily.
    private static let most = 400
    private static let mostEntries = 200_000

    init(hidden: [PathGlob], protected: [PathGlob]) {
        self.hidden = hidden
        self.protected = protected
    }

    /// Walks `root` without following links, in bounded time, into those folders only in which something can match. Sorted so that what
    /// is above comes first.
    func find(in root: Int32) throws(SpawnerFailure) -> [Found] {
        guard !isEmpty else { return [] }
        var walk = Walk()
        try look(root, [], &walk)
        var found = walk.found
        var pinned: Set<[[UInt8]]> = []
        for path in walk.paths {
            for length in 1..<max(1, path.count) { pinned.insert(Array(path.prefix(length))) }
        }
        // What is protected as a whole cannot be renamed either.
        let masked = Set(walk.paths)
        for path in pinned where !masked.contains(path) { found.append(Found(path: try Self.text(path), kind: .pin, depth: path.count)) }
        guard found.count <= Self.most else {
            throw SpawnerFailure(text: "\(found.count) files and folders are hidden or protected, \(Self.most) at most: name whole folders")
        }
        return found.sorted { ($0.depth, $0.path) < ($1.depth, $1.path) }
    }

    private struct Walk {
        var entries = 0
        var found: [Found] = []
        var paths: [[[UInt8]]] = []
    }

    private func look(_ folder: Int32, _ path: [[UInt8]], _ walk: inout Walk) throws(SpawnerFailure) {
        for name in Posix.names(of: folder) ?? [] {
            walk.entries += 1
            guard walk.entries <= Self.mostEntries, walk.found.count <= Self.most else {
                throw SpawnerFailure(text: "the workspace has too many files to look for what is hidden and protected: use patterns without '**'")
            }
            let inner = path + [name]
            let isHidden = hidden.contains { $0.matches(inner) }
            let isProtected = !isHidden && protected.contains { $0.matches(inner) }
            let goesOn =
                !isHidden && inner.count < 64 && (hidden.contains { $0.canMatchBelow(inner) } || protected.contains { $0.canMatchBelow(inner) })
            guard isHidden || isProtected || goesOn, let info = Posix.status(folder, name, follow: false) else { continue }
            let isFolder = Posix.isKind(info, S_IFDIR)
            // A mount on a link would land where it leads. The link itself tells nothing but a name.
            guard !Posix.isKind(info, S_IFLNK) else { continue }
            if isHidden || isProtected {
                let kind: Kind = isHidden ? (isFolder ? .hiddenFolder : .hiddenFile) : .protected
                walk.found.append(Found(path: try Self.text(inner), kind: kind, depth: inner.count))
                walk.paths.append(inner)
            }
            // Below what is protected something may yet be hidden.
            guard isFolder, goesOn else { continue }
            let next = Posix.open(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard next >= 0 else { continue }
            defer { close(next) }
            try look(next, inner, &walk)
        }
    }

    private static func text(_ path: [[UInt8]]) throws(SpawnerFailure) -> String {
        guard let text = String(validating: path.joined(separator: [0x2F]), as: UTF8.self) else {
            throw SpawnerFailure(text: "a file that is to be hidden or protected has a name that is not UTF-8: rename it")
        }
        return text
    }
}
