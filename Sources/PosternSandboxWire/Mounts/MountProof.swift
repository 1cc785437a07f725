/// Holds the mounts of a sandbox against what was to be mounted. Names can change between any two looks, mounts cannot: every mount in a
/// tree of the host is asked which part of which file system it shows, and is refused unless it is one of the manifest. What a link has
/// led to is somewhere else, and shows so whatever is done to the names afterwards.
package struct MountProof {
    private let mounts: [Int: MountTable.Mount]
    /// The trees of the manifest by the number of their mount.
    private var trees: [Int: MountManifest.Tree] = [:]
    /// The folder of the host that holds what lies over hidden files.
    private let closed: (device: String, root: String)?

    /// What lies over hidden files and folders, in the folder from which `/etc` is bound.
    package static let closedFile = "closed-file"
    package static let closedFolder = "closed-folder"

    /// - Parameter table: of the sandbox.
    package init(_ table: MountTable) {
        mounts = Dictionary(table.mounts.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let etc = table.mounts.first { $0.point == "/etc" && $0.root.hasSuffix("/etc") }
        closed = etc.map { ($0.device, String($0.root.dropLast("etc".count))) }
    }

    /// Takes what is found at the place of `tree`: the number of the mount and the file. The reason if it is not what was to be there.
    package mutating func add(_ tree: MountManifest.Tree, mount id: Int, file: FileIdentity) -> String? {
        guard let mount = mounts[id], mount.point == tree.place else { return Self.refusal(tree.place) }
        // An overlay shows files under numbers of its own.
        guard tree.file.map({ $0 == file }) ?? (mount.kind == "overlay" && mount.root == "/") else { return Self.refusal(tree.place) }
        trees[id] = tree
        return nil
    }

    /// After all trees: why the sandbox is not what was to be made, `nil` when it is.
    package func refusal() -> String? {
        var missing: [Int: Set<String>] = trees.mapValues { Set($0.masks.keys) }
        for mount in mounts.values where trees[mount.id] == nil {
            guard let (id, top, tree) = tree(above: mount) else { continue }
            let prefix = tree.place + "/"
            guard mount.point.hasPrefix(prefix) else { return Self.refusal(mount.point) }
            let path = String(mount.point.dropFirst(prefix.count))
            if isMask(mount, path, top, tree) {
                missing[id]?.remove(path)
            } else if !tree.carried.contains(where: { $0.path == path && $0.device == mount.device && $0.root == mount.root }) {
                return Self.refusal(mount.point)
            }
        }
        for (id, paths) in missing {
            if let path = paths.min(), let tree = trees[id] { return Self.refusal("\(tree.place)/\(path)") }
        }
        return nil
    }

    private func tree(above mount: MountTable.Mount) -> (id: Int, top: MountTable.Mount, tree: MountManifest.Tree)? {
        var next = mount
        // No chain is longer than there are mounts, whatever the table says.
        for _ in 0..<mounts.count {
            guard let parent = mounts[next.parent] else { return nil }
            if let tree = trees[parent.id] { return (parent.id, parent, tree) }
            next = parent
        }
        return nil
    }

    private func isMask(_ mount: MountTable.Mount, _ path: String, _ top: MountTable.Mount, _ tree: MountManifest.Tree) -> Bool {
        switch tree.masks[path] {
        case nil: return false
        case .hidden:
            guard let closed, mount.device == closed.device else { return false }
            return mount.root == closed.root + Self.closedFile || mount.root == closed.root + Self.closedFolder
        case .itself:
            // Of what is mounted there on the host, or of the tree itself.
            let within = tree.carried.filter { path == $0.path || path.hasPrefix($0.path + "/") }
            let deepest = within.map(\.path.utf8.count).max()
            let bases =
                deepest.map { length in within.filter { $0.path.utf8.count == length } }
                ?? [CarriedMount(path: "", device: top.device, root: top.root)]
            return bases.contains { mount.device == $0.device && mount.root == Self.joined($0.root, path.dropFirst($0.path.count)) }
        }
    }

    private static func joined(_ root: String, _ rest: Substring) -> String {
        let rest = rest.hasPrefix("/") ? rest.dropFirst() : rest
        if rest.isEmpty { return root }
        return root == "/" ? "/\(rest)" : "\(root)/\(rest)"
    }

    /// Said by whoever finds that a path has led elsewhere.
    package static func refusal(_ place: String) -> String {
        "'\(place)' was changed while the sandbox was being made, and what is mounted there is not what was looked through; give each session "
            + "a folder of its own, or start the session again when nothing else writes to this one"
    }
}
