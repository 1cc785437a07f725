import Glibc
import PosternJSON
import PosternSandboxWire

/// The verbs of a worker that is not root, held to its rights.
extension SpawnerLoop {
    func startAdmitted(_ message: ControlMessage) throws(SpawnerFailure) {
        guard let rights = options.rights else { return try start(message) }
        let (admitted, opened) = try rights.admitted(message, outer: run.outerMounts)
        defer { for descriptor in opened { close(descriptor) } }
        try start(admitted)
    }

    func checkFolderJob(_ message: ControlMessage) throws(SpawnerFailure) {
        guard let rights = options.rights else { return }
        // It makes files of whoever owns the target, for somebody who has looked at them: never for the worker.
        guard message.body["type"]?.string != "changes" else { throw SpawnerFailure(text: "a worker does not take changes over") }
        try rights.checkParent(message.descriptors.first, "folder")
    }

    /// Gives the worker a file to read that only root can.
    func openFile(_ id: Int, _ message: ControlMessage) throws(SpawnerFailure) {
        guard let rights = options.rights else { throw SpawnerFailure(text: "this worker opens its files itself") }
        let file = try rights.openFile(message.body["file"]?.int, outer: run.outerMounts)
        control.send(["type": "done", "id": JSON(id)], descriptors: [file])
    }

    /// Gives the worker what a session has offloaded, for the audit: the worker's own user may not read a session's files.
    func openOutput(_ id: Int, _ message: ControlMessage) throws(SpawnerFailure) {
        if let rights = options.rights { try rights.checkParent(message.descriptors.first, "outputs folder") }
        guard let parent = message.descriptors.first, let name = message.body["name"]?.string, SessionFolders.isName(name),
            let folder = try SessionFolders.open(message.body["folder"]?.string ?? "", in: parent, make: false, owner: nil, "outputs folder")
        else { throw SpawnerFailure(text: "there is no such output") }
        defer { close(folder.descriptor) }
        // A session writes there as it likes: a FIFO must not hold the spawner, and neither kind of link leads to what is not the session's.
        let file = Posix.open(folder.descriptor, Array(name.utf8), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw SpawnerFailure(text: SystemError.reason(errno)) }
        defer { close(file) }
        guard let info = Posix.status(file), Posix.isKind(info, S_IFREG), info.st_nlink == 1, info.st_uid == folder.user else {
            throw SpawnerFailure(text: "it is no regular file of the folder's owner with that one name")
        }
        guard options.rights == nil || options.users.contains(folder.user) else {
            throw SpawnerFailure(text: "it belongs to user \(folder.user), which is no session's")
        }
        control.send(["type": "done", "id": JSON(id)], descriptors: [file])
    }
}
