import PosternJSON
import PosternSandboxWire

/// What a worker asks for with the verb `start`: names and numbers, and descriptors of the folders that they are in.
struct StartOrder {
    struct Bind {
        var descriptor: Int32
        var path: String
        var isWritable: Bool
        /// Relative to the bound folder.
        var masks: TreeMasks
    }

    var id: Int
    /// The sandbox's control socket.
    var control: Int32
    /// The workspace, or with `workspaceName` the folder that it is in.
    var workspace: Int32
    var workspaceName: String?
    var outputsParent: Int32
    var outputsName: String
    var mode: WorkspaceMode
    /// Of a copy-on-write workspace: where the changes are kept.
    var changes: (parent: Int32, name: String)?
    var binds: [Bind] = []
    /// Of the workspace.
    var masks: TreeMasks
    var limits: SandboxLimits
    var isConfined: Bool
    /// The network namespace is to have ports below 1024 for all, and the resolver's files in /etc.
    var hasLowPorts: Bool
    var hasResolver: Bool

    init(_ message: ControlMessage) throws(SpawnerFailure) {
        let body = message.body
        var rest = message.descriptors[...]
        guard let control = rest.popFirst(), let workspace = rest.popFirst(), let outputs = rest.popFirst(),
            let outputsName = body["outputs"]?.string, let mode = WorkspaceMode(rawValue: body["mode"]?.string ?? WorkspaceMode.readWrite.rawValue)
        else { throw SpawnerFailure(text: "start takes a control socket, a workspace and a tool outputs folder") }
        id = body["id"]?.int ?? 0
        (self.control, self.workspace, outputsParent) = (control, workspace, outputs)
        (self.outputsName, self.mode) = (outputsName, mode)
        workspaceName = body["workspace"]?.string
        if mode == .copyOnWrite {
            guard let parent = rest.popFirst(), let name = body["changes"]?.string else {
                throw SpawnerFailure(text: "a copy-on-write workspace takes a folder for the changes")
            }
            changes = (parent, name)
        }
        for json in body["binds"]?.array ?? [] {
            guard let descriptor = rest.popFirst(), let bind = SandboxBind(json: json) else {
                throw SpawnerFailure(text: "each bind takes a descriptor and a place")
            }
            // Asked of the worker's side too; here it counts.
            if let refusal = SandboxBind.refusal(ofPlace: bind.path) {
                throw SpawnerFailure(text: "the bind '\(bind.path)' is refused: \(refusal)")
            }
            binds.append(
                Bind(
                    descriptor: descriptor, path: bind.path, isWritable: bind.isWritable,
                    masks: try TreeMasks(hidden: bind.hidden, protected: bind.protected)))
        }
        masks = try TreeMasks(hidden: Self.texts(body["hidden"]), protected: Self.texts(body["protected"]))
        limits = SandboxLimits(json: body["limits"])
        hasLowPorts = body["low_ports"]?.bool ?? false
        hasResolver = body["resolver"]?.bool ?? false
        isConfined = body["driver"]?.string != "none"
        guard isConfined || (mode == .readWrite && binds.isEmpty && masks.isEmpty) else {
            throw SpawnerFailure(text: "the driver 'none' has no mounts: it serves workspaces for reading and writing only, and no binds or masks")
        }
    }

    /// What is no text becomes an empty pattern, which is none.
    private static func texts(_ list: JSON?) -> [String] { (list?.array ?? []).map { $0.string ?? "" } }
}
