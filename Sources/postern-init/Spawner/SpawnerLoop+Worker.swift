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
}
