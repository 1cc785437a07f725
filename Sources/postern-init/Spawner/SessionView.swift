import CPosternSandbox
import Glibc
import PosternSandboxWire

/// What one sandbox is shown of its session's folders, and how it gets there: mounts that the spawner places, and the paths from which
/// bubblewrap binds.
struct SessionView {
    /// Detached mounts and where they are put, in the new process's mount namespace.
    private(set) var mounts: [(tree: Int32, point: String)] = []
    private(set) var overlay: (point: String, options: String)?
    /// An ordinary user's copy-on-write workspace is put together by OverlayRole.
    private(set) var isMergedByUser = false
    private(set) var workspace = ""
    private(set) var outputs = ""
    var workspaceMasks: [TreeMasks.Found] = []
    /// The binds, outer ones first.
    var binds: [Shown] = []

    /// A file or folder of the host.
    struct Shown {
        let source: String
        let bind: StartOrder.Bind
        let isFolder: Bool
        let isWritable: Bool
        let viewer: MaskSearch.Viewer
        var masks: [TreeMasks.Found] = []
    }

    let run: RunFolder
    /// Of the new process.
    let user: uid_t

    init(run: RunFolder, user: uid_t) {
        self.run = run
        self.user = user
    }

    func closeMounts() { for mount in mounts { close(mount.tree) } }

    // MARK: Of a root spawner: everything is a mount, whose owner is mapped

    /// - Throws: with `cannotMap` set when the file system of the workspace cannot map its owner to `user`.
    mutating func placeWorkspace(_ folder: SessionFolders.Folder, changes: SessionFolders.Folder?) throws(SpawnerFailure) {
        guard let points = run.mountPoints else {
            isMergedByUser = changes != nil
            workspace = isMergedByUser ? run.merged : try Self.path(of: folder.descriptor)
            return
        }
        guard let changes else {
            mounts.append((try SessionFolders.mount(folder, as: user, outer: run.outerMounts), points.workspace))
            workspace = points.workspace
            return
        }
        mounts.append((try SessionFolders.mount(folder, as: user, outer: run.outerMounts), points.lower))
        mounts.append((try SessionFolders.mount(changes, as: user, outer: run.outerMounts), points.changes))
        overlay = (
            points.workspace,
            ChangesFolder.overlayOptions(
                lower: points.lower, upper: "\(points.changes)/\(ChangesFolder.upper)", work: "\(points.changes)/\(ChangesFolder.work)")
        )
        workspace = points.workspace
    }

    mutating func placeOutputs(_ folder: SessionFolders.Folder) throws(SpawnerFailure) {
        guard let points = run.mountPoints else {
            outputs = try Self.path(of: folder.descriptor)
            return
        }
        do throws(SpawnerFailure) {
            mounts.append((try SessionFolders.mount(folder, as: user, outer: run.outerMounts), points.outputs))
        } catch {
            throw SpawnerFailure(text: "the tool outputs folder belongs to user \(folder.user) and cannot be mapped to \(user): \(error.text)")
        }
        outputs = points.outputs
    }

    /// A writable bind is written as its owner. One that is only read and belongs to root is shown as any other user sees it. A file whose
    /// own name is hidden is left out.
    mutating func place(_ bind: StartOrder.Bind) throws(SpawnerFailure) {
        guard let info = Posix.status(bind.descriptor), Posix.isKind(info, S_IFDIR) || Posix.isKind(info, S_IFREG) else {
            throw SpawnerFailure(text: "the bind '\(bind.path)' is neither a file nor a folder")
        }
        let isFolder = Posix.isKind(info, S_IFDIR)
        let names = isFolder ? [] : try Self.names(of: bind)
        guard !names.contains(where: bind.masks.hides) else { return }
        let isWritable = bind.isWritable && !names.contains(where: bind.masks.protects)
        guard run.mountPoints != nil else {
            binds.append(
                Shown(source: try Self.path(of: bind.descriptor), bind: bind, isFolder: isFolder, isWritable: isWritable, viewer: .same))
            return
        }
        let point = "\(run.path)/bind-\(isFolder ? "folder" : "file")-\(binds.count)"
        guard isFolder ? mkdir(point, 0o755) == 0 || errno == EEXIST : Self.touch(point) else {
            throw SpawnerFailure(text: "no place for the bind '\(bind.path)': \(SystemError.reason(errno))")
        }
        let folder = SessionFolders.Folder(descriptor: bind.descriptor, user: info.st_uid, group: info.st_gid)
        let isShownAsIs = !isWritable && info.st_uid == 0
        do throws(SpawnerFailure) {
            mounts.append((try SessionFolders.mount(folder, as: isShownAsIs ? 0 : user, outer: run.outerMounts), point))
        } catch {
            throw SpawnerFailure(text: "the bind '\(bind.path)' belongs to user \(info.st_uid) and cannot be mapped to \(user): \(error.text)")
        }
        binds.append(
            Shown(
                source: point, bind: bind, isFolder: isFolder, isWritable: isWritable,
                viewer: isShownAsIs ? .other(user: user, group: user) : viewer(of: folder)))
    }

    /// Whom the session is in a folder that is mapped to it.
    func viewer(of folder: SessionFolders.Folder) -> MaskSearch.Viewer {
        guard run.mountPoints != nil else { return .same }
        return folder.user == user ? .other(user: user, group: user) : .other(user: folder.user, group: folder.group)
    }

    /// What a single file is called: on the host and inside.
    private static func names(of bind: StartOrder.Bind) throws(SpawnerFailure) -> [[UInt8]] {
        [try path(of: bind.descriptor), bind.path].compactMap { path in path.split(separator: "/").last.map { Array($0.utf8) } }
    }

    private static func touch(_ path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o444)
        guard file >= 0 else { return false }
        close(file)
        return true
    }

    // MARK: Paths

    /// Where an ordinary user's file or folder is now; the descriptor was opened by the worker, which is the same user. Whether it still
    /// was there when it was mounted is for MountProof.
    static func path(of descriptor: Int32) throws(SpawnerFailure) -> String {
        guard let path = Posix.link(AT_FDCWD, Array("/proc/self/fd/\(descriptor)".utf8)), path.first == 0x2F,
            let text = String(validating: path, as: UTF8.self)
        else { throw SpawnerFailure(text: "the path of a session's folder is unknown or not UTF-8") }
        return text
    }
}
