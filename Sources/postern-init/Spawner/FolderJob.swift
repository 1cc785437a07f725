import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// Work on a session's folders that may take long and therefore runs in a process of its own: removing one, looking at what a session has
/// left in it, taking changes over.
struct FolderJob {
    var id: Int
    var verb: String
    /// Where the process leaves its report; -1 where it has none but its status.
    var report: Int32
}

extension SpawnerLoop {
    func startFolderJob(_ id: Int, _ message: ControlMessage) throws(SpawnerFailure) {
        let verb = message.body["type"]?.string ?? ""
        guard let name = message.body["name"]?.string, SessionFolders.isName(name), let parent = message.descriptors.first else {
            throw SpawnerFailure(text: "\(verb) takes a name and the folder it is in")
        }
        let report = psb_memory_file("report")
        guard report >= 0 else { throw SpawnerFailure(text: SystemError.reason(-report)) }
        let pid = psb_fork()
        guard pid >= 0 else {
            close(report)
            throw SpawnerFailure(text: "no process could be started: \(SystemError.reason(-pid))")
        }
        if pid == 0 {
            close(control.descriptor)
            // Were this spawner killed, its sandboxes would be gone and their locks must be too.
            for sandbox in sandboxes where sandbox.changes >= 0 { close(sandbox.changes) }
            _exit(Self.run(verb, parent, Array(name.utf8), message, report))
        }
        folderJobs[pid] = FolderJob(id: id, verb: verb, report: report)
    }

    /// In the new process. Its exit status: 0 or an errno.
    private static func run(_ verb: String, _ parent: Int32, _ name: [UInt8], _ message: ControlMessage, _ report: Int32) -> Int32 {
        switch verb {
        case "remove": return TreeRemoval.remove(parent, name)
        case "scan":
            var folder = Posix.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            if folder >= 0, let below = message.body["below"]?.string {
                guard SessionFolders.isName(below) else { return EINVAL }
                folder = Posix.open(folder, Array(below.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            }
            guard folder >= 0 else { return errno }
            return write(WorkspaceScan.run(folder).json, report)
        default:
            guard message.descriptors.count == 2, let order = ChangesOrder(json: message.body["order"]) else { return EINVAL }
            let changes = Posix.open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard changes >= 0 else { return errno }
            return write(ChangesApplier.run(order, changes: changes, target: message.descriptors[1]).json, report)
        }
    }

    private static func write(_ json: JSON, _ report: Int32) -> Int32 { Posix.write(report, json.encoded) ? 0 : errno }

    func finish(_ job: FolderJob, _ code: Int32) {
        let error: JSON = code == 0 ? .null : .string(SystemError.reason(code))
        guard job.verb != "remove", code == 0 else {
            close(job.report)
            control.send(["type": "done", "id": JSON(job.id), "error": error])
            return
        }
        control.send(["type": "done", "id": JSON(job.id), "error": error], descriptors: [job.report])
    }
}
