import PosternJSON

/// A file or folder of the host that a root spawner shows in sandboxes for an unprivileged worker.
package struct ServedTree: Sendable, Hashable {
    /// Absolute. Opened by the spawner when a sandbox starts; itself no link.
    package var path: String
    package var isWritable: Bool

    package init(path: String, isWritable: Bool) {
        self.path = path
        self.isWritable = isWritable
    }

    /// `rw:PATH` or `ro:PATH`, as the spawner's option `--tree` has it.
    package var text: String { (isWritable ? "rw:" : "ro:") + path }

    /// `nil` for anything else.
    package init?(_ text: String) {
        guard text.hasPrefix("rw:/") || text.hasPrefix("ro:/") else { return nil }
        self.init(path: String(text.dropFirst(3)), isWritable: text.hasPrefix("rw:"))
    }

    /// How an order names `path`: the number of the tree that it is or is in, and where in it. The tree of that name comes first, then the
    /// innermost. `nil` where no tree serves it.
    package static func reference(to path: String, isWritten: Bool, in trees: [ServedTree]) -> JSON? {
        let serving = trees.enumerated().filter { $0.element.isWritable || !isWritten }
        if let exact = serving.first(where: { $0.element.path == path }) { return ["number": JSON(exact.offset)] }
        func prefix(_ tree: ServedTree) -> String { tree.path == "/" ? "/" : tree.path + "/" }
        let around = serving.filter { path.hasPrefix(prefix($0.element)) }.max { $0.element.path.utf8.count < $1.element.path.utf8.count }
        return around.map { ["number": JSON($0.offset), "below": .string(String(path.dropFirst(prefix($0.element).count)))] }
    }
}
