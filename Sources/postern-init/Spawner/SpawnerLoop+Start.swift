import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension SpawnerLoop {
    /// Starts a sandbox. Answers the user that it runs as, outside.
    func start(_ id: Int, _ message: ControlMessage) throws(SpawnerFailure) -> uid_t {
        let body = message.body
        guard message.descriptors.count == 3, let outputsName = body["outputs"]?.string else {
            throw SpawnerFailure(text: "start takes a control socket, a workspace and a tool outputs folder")
        }
        guard !sandboxes.contains(where: { $0.id == id }) else { throw SpawnerFailure(text: "sandbox \(id) exists") }
        let (socket, workspaceDescriptor, outputsParent) = (message.descriptors[0], message.descriptors[1], message.descriptors[2])

        var user = try sessionUser(outputsName, in: outputsParent, workspaceName: body["workspace"]?.string, workspaceDescriptor)
        guard let outputs = try SessionFolders.open(outputsName, in: outputsParent, make: true, owner: isRoot ? user : nil, "tool outputs folder")
        else {
            throw SpawnerFailure(text: "the tool outputs folder is gone")
        }
        defer { close(outputs.descriptor) }
        let workspace: SessionFolders.Folder
        if let name = body["workspace"]?.string {
            guard let made = try SessionFolders.open(name, in: workspaceDescriptor, make: true, owner: isRoot ? user : nil, "workspace") else {
                throw SpawnerFailure(text: "the workspace is gone")
            }
            workspace = made
        } else {
            workspace = try SessionFolders.existing(workspaceDescriptor, "workspace")
        }
        defer { if workspace.descriptor != workspaceDescriptor { close(workspace.descriptor) } }

        let limits = SandboxLimits(json: body["limits"])
        var launch: ProcessStart
        if body["driver"]?.string == "none" {
            launch = unconfined(socket, workspace, outputs)
            if isRoot, workspace.user != user {
                user = try servedAsOwner(workspace, because: "the driver 'none' has no mounts of its own")
            }
        } else {
            launch = try confined(socket, workspace, outputs, &user, isReadOnly: body["read_only"]?.bool ?? false, limits)
        }
        defer { for mount in launch.mounts { close(mount.tree) } }
        if isRoot {
            guard user != 0 else { throw SpawnerFailure(text: "no sandbox is ever started as user 0") }
            launch.user = user
            launch.group = user
        }
        let errors = psb_memory_file("errors")
        guard errors >= 0 else { throw SpawnerFailure(text: SystemError.reason(-errors)) }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        launch.descriptors = [null, null, errors] + launch.descriptors
        do throws(SystemFailure) {
            let pid = try launch.start()
            sandboxes.append(Running(id: id, pid: pid, user: user, errors: errors, isConfined: body["driver"]?.string != "none"))
        } catch {
            close(errors)
            throw SpawnerFailure(text: error.text)
        }
        return user
    }

    private func confined(
        _ socket: Int32, _ workspace: SessionFolders.Folder, _ outputs: SessionFolders.Folder, _ user: inout uid_t, isReadOnly: Bool,
        _ limits: SandboxLimits
    ) throws(SpawnerFailure) -> ProcessStart {
        guard let bubblewrap = options.bubblewrap else {
            throw SpawnerFailure(text: "bubblewrap is not installed: install the package 'bubblewrap' (0.8 or later)")
        }
        var plan = BubblewrapPlan(bubblewrap: bubblewrap, run: run, workspace: "", outputs: "", isReadOnly: isReadOnly, limits: limits)
        plan.layers = options.layers
        // Without mounts and namespaces there is nothing for bubblewrap to do.
        guard !options.layers.isDisjoint(with: [.mounts, .namespaces, .network]) else {
            return unconfined(
                socket, workspace, outputs, arguments: ["postern-init", "sandbox", UnsafeLayers.option, SandboxLayer.text(options.layers)])
        }
        var mounts: [(tree: Int32, point: String)] = []
        if let points = run.mountPoints {
            do throws(SpawnerFailure) {
                mounts.append((try SessionFolders.mount(workspace, as: user, outer: run.outerMounts), points.workspace))
            } catch {
                user = try servedAsOwner(workspace, because: "its file system cannot map owners (\(error.text))")
                mounts.append((try SessionFolders.mount(workspace, as: user, outer: run.outerMounts), points.workspace))
            }
            do throws(SpawnerFailure) {
                mounts.append((try SessionFolders.mount(outputs, as: user, outer: run.outerMounts), points.outputs))
            } catch {
                for mount in mounts { close(mount.tree) }
                throw SpawnerFailure(text: "the tool outputs folder belongs to user \(outputs.user) and cannot be mapped to \(user): \(error.text)")
            }
            plan.workspace = points.workspace
            plan.outputs = points.outputs
        } else {
            plan.workspace = try path(of: workspace.descriptor)
            plan.outputs = try path(of: outputs.descriptor)
        }
        return ProcessStart(
            path: bubblewrap, arguments: plan.arguments,
            descriptors: options.layers.contains(.mounts) ? [socket] : [socket, workspace.descriptor, outputs.descriptor], newSession: false,
            dieWithParent: true, mounts: mounts)
    }

    private func unconfined(
        _ socket: Int32, _ workspace: SessionFolders.Folder, _ outputs: SessionFolders.Folder,
        arguments: [String] = ["postern-init", "unconfined"]
    ) -> ProcessStart {
        ProcessStart(
            path: run.executable, arguments: arguments, directory: workspace.descriptor,
            descriptors: [socket, workspace.descriptor, outputs.descriptor], dieWithParent: true, mountNamespace: run.outerMounts)
    }

    /// Where an ordinary user's folder is now; the descriptor was opened by the worker, which is the same user.
    private func path(of descriptor: Int32) throws(SpawnerFailure) -> String {
        guard let path = Posix.link(AT_FDCWD, Array("/proc/self/fd/\(descriptor)".utf8)), path.first == 0x2F,
            let text = String(validating: path, as: UTF8.self)
        else { throw SpawnerFailure(text: "the path of a session's folder is unknown or not UTF-8") }
        return text
    }

    // MARK: Users

    private func servedAsOwner(_ workspace: SessionFolders.Folder, because reason: String) throws(SpawnerFailure) -> uid_t {
        guard workspace.user != 0 else {
            throw SpawnerFailure(
                text: "the workspace belongs to root and \(reason), so it could only be served as root, which is refused: "
                    + "give the folder to an ordinary user (chown), or let the worker make the workspace")
        }
        return workspace.user
    }

    /// The user of a session: the one that owns its folders from before, else one that nobody has. An ordinary user's spawner knows
    /// only that user.
    private func sessionUser(_ outputs: String, in parent: Int32, workspaceName: String?, _ workspaceParent: Int32) throws(SpawnerFailure) -> uid_t {
        guard isRoot else { return geteuid() }
        if let folder = try SessionFolders.open(outputs, in: parent, make: false, owner: nil, "tool outputs folder") {
            close(folder.descriptor)
            if options.users.contains(folder.user) {
                guard !isTaken(folder.user) else {
                    throw SpawnerFailure(text: "user \(folder.user), to whom this session's tool outputs belong, is in use by another sandbox")
                }
                return folder.user
            }
        }
        var taken = SessionFolders.owners(in: parent)
        if workspaceName != nil { taken.formUnion(SessionFolders.owners(in: workspaceParent)) }
        for _ in options.users {
            let candidate = nextUser
            nextUser = nextUser == options.users.upperBound ? options.users.lowerBound : nextUser + 1
            if !isTaken(candidate), !taken.contains(candidate) { return candidate }
        }
        throw SpawnerFailure(
            text:
                "every user from \(options.users.lowerBound) to \(options.users.upperBound) is taken by a session; remove old workspaces or widen the range"
        )
    }

    private func isTaken(_ user: uid_t) -> Bool { quarantined.contains(user) || sandboxes.contains { $0.user == user } }
}
