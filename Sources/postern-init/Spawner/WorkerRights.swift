import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// What an unprivileged worker may have a root spawner do. The worker is then on the other side of a boundary: it reads what the control plane
/// sends, and whoever takes it over must not get through the spawner what its own user has not. So trees and files of the host are named once,
/// by the root that started both, and the worker only says which of them it means; and folders are worked on only where they are its own.
struct WorkerRights {
    /// Whom the worker runs as.
    let user: uid_t
    var trees: [ServedTree] = []
    /// Files that the worker may read though only root can: secrets that policies name.
    var files: [String] = []
    /// What is never shown in a sandbox.
    var denied: [String] = []
    /// The driver `none` was asked for.
    var mayBeUnconfined = false

    /// The order that a worker's message comes to, with its trees opened. The caller closes `opened`.
    func admitted(_ message: ControlMessage, outer: Int32) throws(SpawnerFailure) -> (message: ControlMessage, opened: [Int32]) {
        var admission = Admission(rights: self, outer: outer, rest: message.descriptors[...])
        do throws(SpawnerFailure) {
            try admission.admit(message.body)
        } catch {
            for descriptor in admission.opened { close(descriptor) }
            throw error
        }
        return (ControlMessage(message.body, descriptors: admission.descriptors), admission.opened)
    }

    /// - Throws: when the folder in which the worker wants something made, read or removed is not the worker's own, or not its alone: only
    ///   there can it have put nothing that is somebody else's.
    func checkParent(_ descriptor: Int32?, _ what: String) throws(SpawnerFailure) {
        guard let descriptor, let info = Posix.status(descriptor), Posix.isKind(info, S_IFDIR) else {
            throw SpawnerFailure(text: "the folder that the \(what) is in was not given")
        }
        guard info.st_uid == user else {
            throw SpawnerFailure(
                text: "the folder that the \(what) is in belongs to user \(info.st_uid), and the worker is user \(user): chown \(user) that folder")
        }
        guard info.st_mode & 0o022 == 0 else {
            throw SpawnerFailure(text: "others can write in the folder that the \(what) is in: chmod go-w that folder")
        }
    }

    /// Opens file `index` for reading: a regular one of root's or the worker's, no link.
    func openFile(_ index: Int?, outer: Int32) throws(SpawnerFailure) -> Int32 {
        guard let index, files.indices.contains(index) else { throw SpawnerFailure(text: "no policy names such a file") }
        // Not blocking: a FIFO must not hold the spawner.
        let file = psb_open_outside(outer, files[index], nil, O_RDONLY | O_NONBLOCK)
        guard file >= 0 else { throw SpawnerFailure(text: SystemError.reason(-file)) }
        guard let info = Posix.status(file), Posix.isKind(info, S_IFREG), info.st_uid == 0 || info.st_uid == user else {
            close(file)
            throw SpawnerFailure(text: "it is no regular file of root's or of user \(user), as whom the worker runs")
        }
        return file
    }

    /// One pass over a start order and its descriptors, as `StartOrder` has them.
    private struct Admission {
        let rights: WorkerRights
        let outer: Int32
        var rest: ArraySlice<Int32>
        var descriptors: [Int32] = []
        var opened: [Int32] = []

        mutating func admit(_ body: JSON) throws(SpawnerFailure) {
            guard rights.mayBeUnconfined || body["driver"]?.string != "none" else {
                throw SpawnerFailure(text: "the worker was not started with the driver 'none'")
            }
            pass()
            if body["workspace"]?.string != nil {
                try rights.checkParent(rest.first, "workspace")
                pass()
            } else {
                let isWritten = ![WorkspaceMode.readOnly.rawValue, WorkspaceMode.copyOnWrite.rawValue].contains(body["mode"]?.string)
                try open(body["workspace_tree"], "workspace", isWritten: isWritten, flags: O_RDONLY | O_DIRECTORY)
            }
            try rights.checkParent(rest.first, "tool outputs folder")
            pass()
            if body["mode"]?.string == WorkspaceMode.copyOnWrite.rawValue {
                try rights.checkParent(rest.first, "folder for changes")
                pass()
            }
            for bind in body["binds"]?.array ?? [] {
                let path = bind["path"]?.string ?? ""
                try open(bind["tree"], "bind '\(path)'", isWritten: bind["writable"]?.bool ?? false, flags: psb_open_path)
            }
            guard rest.isEmpty else { throw SpawnerFailure(text: "the order has descriptors that it does not speak of") }
        }

        private mutating func pass() { if let next = rest.popFirst() { descriptors.append(next) } }

        private mutating func open(_ json: JSON?, _ what: String, isWritten: Bool, flags: Int32) throws(SpawnerFailure) {
            guard let number = json?["number"]?.int, rights.trees.indices.contains(number) else {
                throw SpawnerFailure(text: "the \(what) is none of the files and folders that the worker was started for")
            }
            let tree = rights.trees[number]
            guard tree.isWritable || !isWritten else { throw SpawnerFailure(text: "the \(what) may be read only") }
            let descriptor = psb_open_outside(outer, tree.path, json?["below"]?.string, flags)
            guard descriptor >= 0 else { throw SpawnerFailure(text: "the \(what) cannot be opened: \(SystemError.reason(-descriptor))") }
            opened.append(descriptor)
            descriptors.append(descriptor)
            guard let info = Posix.status(descriptor), Posix.isKind(info, S_IFDIR) || Posix.isKind(info, S_IFREG) else {
                throw SpawnerFailure(text: "the \(what) cannot be opened: it is neither a file nor a folder")
            }
            try DeniedPlaces(paths: rights.denied, outer: outer).check(descriptor, what)
        }
    }
}
