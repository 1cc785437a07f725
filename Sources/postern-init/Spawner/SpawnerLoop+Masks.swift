import CPosternSandbox
import Glibc
import PosternSandboxWire

extension SpawnerLoop {
    /// Adds to `view` what is hidden and protected in its trees.
    func placeMasks(_ view: inout SessionView, _ order: StartOrder, _ workspace: SessionFolders.Folder, changes: SessionFolders.Folder?)
        throws(SpawnerFailure)
    {
        var search = MaskSearch()
        let isWritable = order.mode != .readOnly
        let viewer = view.viewer(of: workspace)
        var masks: [TreeMasks.Found] = []
        try withTree(workspace.descriptor) { tree throws(SpawnerFailure) in
            masks = try search.find(order.masks, in: tree, "the workspace", for: viewer, isWritable: isWritable)
        }
        if let changes {
            let upper = Posix.open(changes.descriptor, Array(ChangesFolder.upper.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            if upper >= 0 {
                defer { close(upper) }
                let changed = try search.find(
                    order.masks, in: upper, "the workspace's changes", for: view.viewer(of: changes), isWritable: isWritable)
                masks = merged(masks, changed, upper)
            }
        }
        view.workspaceMasks = masks
        for index in view.binds.indices {
            let shown = view.binds[index]
            guard shown.isFolder, !shown.bind.masks.isEmpty else { continue }
            try withTree(shown.bind.descriptor) { tree throws(SpawnerFailure) in
                view.binds[index].masks = try search.find(
                    shown.bind.masks, in: tree, "the bind '\(shown.bind.path)'", for: shown.viewer, isWritable: shown.isWritable)
            }
        }
    }

    /// The folder as a session is shown it. A root spawner shows a mount of its own without those that the host has in it: what they lie
    /// over is seen there, and they are not.
    private func withTree(_ folder: Int32, _ body: (Int32) throws(SpawnerFailure) -> Void) throws(SpawnerFailure) {
        guard run.mountPoints != nil else { return try body(folder) }
        let tree = psb_clone_mount(folder, run.outerMounts)
        guard tree >= 0 else { throw SpawnerFailure(text: "a folder of the session cannot be mounted: \(SystemError.reason(-tree))") }
        defer { close(tree) }
        try body(tree)
    }

    /// A copy-on-write workspace has files in two places.
    private func merged(_ below: [TreeMasks.Found], _ changed: [TreeMasks.Found], _ upper: Int32) -> [TreeMasks.Found] {
        var all: [String: TreeMasks.Found] = [:]
        var gone: Set<String> = []
        for found in changed {
            // A whiteout: what was below is not there any more, and cannot be mounted on.
            if let info = Posix.status(upper, Array(found.path.utf8), follow: false), Posix.isKind(info, S_IFCHR) {
                gone.insert(found.path)
            } else {
                all[found.path] = found
            }
        }
        for found in below where !gone.contains(where: { found.path == $0 || found.path.hasPrefix($0 + "/") }) {
            if let other = all[found.path], other.kind != .pin { continue }
            all[found.path] = found
        }
        return all.values.sorted(by: TreeMasks.Found.isBefore)
    }
}
