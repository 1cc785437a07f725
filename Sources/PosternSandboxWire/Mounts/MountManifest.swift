import PosternJSON

/// What a sandbox is to be shown of the host: the spawner has looked it through and says what it saw, process 1 compares it with what
/// bubblewrap has mounted (`MountProof`). Bubblewrap is given paths, and who may write a tree can make a path lead elsewhere meanwhile.
package struct MountManifest: Sendable, Equatable {
    /// The descriptor on which process 1 finds it.
    package static let descriptor: Int32 = SandboxPaths.controlDescriptor + 1

    /// A file or folder that is bound, with what lies over parts of it.
    package struct Tree: Sendable, Equatable {
        /// Where it is inside.
        package var place: String
        /// Which file it is; `nil` for an overlay, which is made for this sandbox and is in no other process's reach.
        package var file: FileIdentity?
        /// By path below the tree.
        package var masks: [String: Mask] = [:]
        /// Mounts that the host has in the tree and that come with it.
        package var carried: [CarriedMount] = []

        package init(place: String, file: FileIdentity?, masks: [String: Mask] = [:], carried: [CarriedMount] = []) {
            (self.place, self.file, self.masks, self.carried) = (place, file, masks, carried)
        }
    }

    package enum Mask: Sendable {
        /// Something closed lies over it.
        case hidden
        /// It lies over itself, so that it is read-only or stays where it is.
        case itself
    }

    package var trees: [Tree]

    package init(trees: [Tree]) { self.trees = trees }

    package var json: JSON {
        let trees = trees.map { tree -> JSON in
            func paths(_ mask: Mask) -> JSON { .array(tree.masks.filter { $0.value == mask }.map { .string($0.key) }) }
            return [
                "place": .string(tree.place), "file": JSON(tree.file?.text), "hidden": paths(.hidden), "itself": paths(.itself),
                "carried": .array(tree.carried.map { ["path": .string($0.path), "device": .string($0.device), "root": .string($0.root)] }),
            ]
        }
        return ["trees": .array(trees)]
    }

    /// `nil` unless all of it is understood.
    package init?(json: JSON) {
        trees = []
        for value in json["trees"]?.array ?? [] {
            guard let place = value["place"]?.string, let hidden = value["hidden"]?.array, let itself = value["itself"]?.array,
                let carried = value["carried"]?.array
            else { return nil }
            let file = value["file"]?.string
            var tree = Tree(place: place, file: file.flatMap(FileIdentity.init(text:)))
            guard file == nil || tree.file != nil else { return nil }
            for (mask, paths) in [(Mask.hidden, hidden), (.itself, itself)] {
                for path in paths {
                    guard let path = path.string else { return nil }
                    tree.masks[path] = mask
                }
            }
            for mount in carried {
                guard let path = mount["path"]?.string, let device = mount["device"]?.string, let root = mount["root"]?.string else { return nil }
                tree.carried.append(CarriedMount(path: path, device: device, root: root))
            }
            trees.append(tree)
        }
        guard !trees.isEmpty else { return nil }
    }
}

/// Which file of the machine something is, whatever its name.
package struct FileIdentity: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64

    package init(device: UInt64, inode: UInt64) { (self.device, self.inode) = (device, inode) }

    /// `device:inode`
    package init?(text: String) {
        let parts = text.split(separator: ":").compactMap { UInt64($0) }
        guard parts.count == 2 else { return nil }
        (device, inode) = (parts[0], parts[1])
    }

    package var text: String { "\(device):\(inode)" }
}

/// A mount below a tree of the host.
package struct CarriedMount: Sendable, Hashable {
    /// Below the tree.
    package var path: String
    package var device: String
    package var root: String

    package init(path: String, device: String, root: String) { (self.path, self.device, self.root) = (path, device, root) }

    /// Those of `table`, the spawner's own, that lie below `folder`.
    package static func all(below folder: String, in table: MountTable) -> [CarriedMount] {
        let prefix = folder == "/" ? "/" : folder + "/"
        return table.mounts.filter { $0.point.hasPrefix(prefix) && $0.point != prefix }.map {
            CarriedMount(path: String($0.point.dropFirst(prefix.count)), device: $0.device, root: $0.root)
        }
    }
}
