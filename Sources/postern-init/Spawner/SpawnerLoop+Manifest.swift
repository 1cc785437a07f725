import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension SpawnerLoop {
    /// A memory file that tells process 1 of the sandbox what it is to find mounted. The caller closes it.
    func manifest(
        of view: SessionView, workspace: SessionFolders.Folder, outputs: SessionFolders.Folder, isMerged: Bool
    ) throws(SpawnerFailure) -> Int32 {
        // A root spawner's mounts come without those that the host has in a folder, an ordinary user's come with them.
        var host: MountTable?
        do throws(SystemFailure) { host = isRoot ? nil : try MountTable.own() } catch { throw SpawnerFailure(text: error.text) }
        func tree(
            _ place: String, _ descriptor: Int32, _ masks: [TreeMasks.Found] = [], isMerged: Bool = false
        ) throws(SpawnerFailure) -> MountManifest.Tree {
            guard let file = FileIdentity(of: descriptor) else { throw SpawnerFailure(text: SystemError.reason(errno)) }
            var tree = MountManifest.Tree(place: place, file: isMerged ? nil : file)
            for found in masks { tree.masks[found.path] = found.kind.isHidden ? .hidden : .itself }
            if let host, !isMerged { tree.carried = CarriedMount.all(below: try SessionView.path(of: descriptor), in: host) }
            return tree
        }
        var trees = [
            try tree(SandboxPaths.workspace, workspace.descriptor, view.workspaceMasks, isMerged: isMerged),
            try tree(SandboxPaths.toolOutputs, outputs.descriptor),
        ]
        for shown in view.binds { trees.append(try tree(shown.bind.path, shown.bind.descriptor, shown.masks)) }
        let file = psb_memory_file("mounts")
        guard file >= 0 else { throw SpawnerFailure(text: SystemError.reason(-file)) }
        guard Posix.write(file, MountManifest(trees: trees).json.encoded), lseek(file, 0, SEEK_SET) == 0 else {
            close(file)
            throw SpawnerFailure(text: SystemError.reason(errno))
        }
        return file
    }
}
