import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

extension SpawnerLoop {
    /// What a session is to work with, all of it opened by descriptor.
    private struct Folders {
        var workspace: SessionFolders.Folder
        var outputs: SessionFolders.Folder
        var changes: SessionFolders.Folder?
    }

    /// Starts a sandbox and tells the worker of it.
    func start(_ message: ControlMessage) throws(SpawnerFailure) {
        let order = try StartOrder(message)
        guard !sandboxes.contains(where: { $0.id == order.id }) else { throw SpawnerFailure(text: "sandbox \(order.id) exists") }
        let user = try takeUser(order)
        do throws(SpawnerFailure) {
            try start(order, heldUser: user)
        } catch {
            // Nothing has run as this user yet.
            users?.giveBack(user, isSwept: true)
            throw error
        }
    }

    private func start(_ order: StartOrder, heldUser: uid_t) throws(SpawnerFailure) {
        let folders = try open(order, owner: isRoot ? heldUser : nil)
        defer {
            close(folders.outputs.descriptor)
            if folders.workspace.descriptor != order.workspace { close(folders.workspace.descriptor) }
            if let changes = folders.changes { close(changes.descriptor) }
        }
        let disk = order.workspaceName == nil ? nil : DiskLimit.set(folders.workspace, user: isRoot ? heldUser : nil, order.limits)
        var (launch, user) = order.isConfined ? try confined(order, folders, heldUser) : try unconfined(order, folders, heldUser)
        defer {
            for mount in launch.mounts { close(mount.tree) }
            if let manifest = launch.manifest { close(manifest) }
        }
        if isRoot {
            guard user != 0 else { throw SpawnerFailure(text: "no sandbox is ever started as user 0") }
            launch.user = user
            launch.group = user
        }
        let group = SessionGroup(
            groups, id: order.id, limits: order.limits, device: DiskDevice.of(folders.workspace.descriptor),
            disk: disk ?? DiskLimit.soft(order.limits))
        if !group.boundsMemory { launch.dataBytes = order.limits.memoryBytes }
        do throws(SpawnerFailure) {
            launch.groups = try group.openForJoining()
        } catch {
            group.remove()
            throw error
        }
        defer { launch.groups.close() }
        let errors = psb_memory_file("errors")
        let null = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        guard errors >= 0 else {
            group.remove()
            throw SpawnerFailure(text: SystemError.reason(-errors))
        }
        launch.descriptors = [null, null, errors] + launch.descriptors
        launch.ignoresTermination = true
        do throws(SystemFailure) {
            let pid = try launch.start()
            sandboxes.append(
                Running(
                    id: order.id, pid: pid, user: user, heldUser: heldUser, errors: errors,
                    isConfined: order.isConfined && options.layers.contains(.namespaces), group: group,
                    // The same open file, and so the same lock.
                    changes: folders.changes.map { fcntl($0.descriptor, F_DUPFD_CLOEXEC, 0) } ?? -1))
        } catch {
            close(errors)
            group.remove()
            throw SpawnerFailure(text: error.text)
        }
        let counters = group.openCounters()
        control.send(
            [
                "type": "started", "id": JSON(order.id), "uid": JSON(Int(user)), "limits": group.report.json,
                "counters": .array(counters.names.map(JSON.string)),
            ], descriptors: counters.descriptors)
    }

    private func open(_ order: StartOrder, owner: uid_t?) throws(SpawnerFailure) -> Folders {
        func required(_ folder: SessionFolders.Folder?, _ what: String) throws(SpawnerFailure) -> SessionFolders.Folder {
            guard let folder else { throw SpawnerFailure(text: "the \(what) is gone") }
            return folder
        }
        let outputs = try required(
            SessionFolders.open(order.outputsName, in: order.outputsParent, make: true, owner: owner, "tool outputs folder"), "tool outputs folder")
        do throws(SpawnerFailure) {
            let workspace =
                if let name = order.workspaceName {
                    try required(SessionFolders.open(name, in: order.workspace, make: true, owner: owner, "workspace"), "workspace")
                } else { try SessionFolders.existing(order.workspace, "workspace") }
            guard let (parent, name) = order.changes else { return Folders(workspace: workspace, outputs: outputs) }
            do throws(SpawnerFailure) {
                let changes = try required(
                    SessionFolders.open(name, in: parent, make: true, owner: owner, "folder for changes"), "folder for changes")
                do throws(SpawnerFailure) {
                    try ChangesFolder.lock(changes.descriptor)
                    try ChangesFolder.prepare(changes.descriptor, like: workspace.descriptor, owner: owner)
                } catch {
                    close(changes.descriptor)
                    throw error
                }
                return Folders(workspace: workspace, outputs: outputs, changes: changes)
            } catch {
                if workspace.descriptor != order.workspace { close(workspace.descriptor) }
                throw error
            }
        } catch {
            close(outputs.descriptor)
            throw error
        }
    }

    private func confined(
        _ order: StartOrder, _ folders: Folders, _ held: uid_t
    ) throws(SpawnerFailure) -> (ProcessStart, uid_t) {
        guard let bubblewrap = options.bubblewrap else {
            throw SpawnerFailure(text: "bubblewrap is not installed: install the package 'bubblewrap' (0.8 or later)")
        }
        // Without mounts and namespaces there is nothing for bubblewrap to do.
        if let unsafe = options.unsafe, unsafe.layers.isDisjoint(with: [.mounts, .namespaces, .network]) {
            let arguments = ["postern-init", "sandbox", UnsafeLayers.option, unsafe.text]
            return (withoutMounts(order, folders, arguments), held)
        }
        var (view, user) = try view(order, folders, held)
        var manifest: Int32?
        do throws(SpawnerFailure) {
            try placeMasks(&view, order, folders.workspace, changes: folders.changes)
            if options.layers.contains(.mounts) {
                manifest = try self.manifest(
                    of: view, workspace: folders.workspace, outputs: folders.outputs, isMerged: folders.changes != nil)
            }
        } catch {
            view.closeMounts()
            throw error
        }
        var plan = BubblewrapPlan(bubblewrap: bubblewrap, run: run, view: view, isReadOnly: order.mode == .readOnly, limits: order.limits)
        plan.unsafe = options.unsafe
        plan.hasResolver = order.hasResolver
        plan.hasOwnNetwork = order.hasLowPorts && options.layers.contains(.network)
        var launch = ProcessStart(
            path: bubblewrap, arguments: plan.arguments,
            descriptors: [order.control] + (manifest.map { [$0] } ?? [folders.workspace.descriptor, folders.outputs.descriptor]),
            newSession: false, dieWithParent: true, mounts: view.mounts)
        launch.manifest = manifest
        launch.overlay = view.overlay
        if view.isMergedByUser, manifest != nil, let changes = folders.changes {
            // An ordinary user mounts in a user namespace, which takes a program of its own: see OverlayRole.
            launch.descriptors += [folders.workspace.descriptor, changes.descriptor]
            launch.path = run.executable
            launch.arguments = ["postern-init", "overlay", run.merged] + plan.arguments
        }
        if plan.hasOwnNetwork {
            launch.arguments = ["postern-init", "network", launch.path] + launch.arguments.dropFirst()
            launch.path = run.program
        }
        return (launch, user)
    }

    /// The folders as mounts, and whom they have to be served as.
    private func view(_ order: StartOrder, _ folders: Folders, _ held: uid_t) throws(SpawnerFailure) -> (SessionView, uid_t) {
        var view = SessionView(run: run, user: held)
        do throws(SpawnerFailure) {
            try view.placeWorkspace(folders.workspace, changes: folders.changes)
        } catch {
            view.closeMounts()
            view = SessionView(run: run, user: try servedAsOwner(folders.workspace, because: "its file system cannot map owners (\(error.text))"))
            try view.placeWorkspace(folders.workspace, changes: folders.changes)
        }
        do throws(SpawnerFailure) {
            try view.placeOutputs(folders.outputs)
            // One in another lies over it, whatever their order.
            for bind in order.binds.sorted(by: { ($0.path.utf8.count, $0.path) < ($1.path.utf8.count, $1.path) }) { try view.place(bind) }
        } catch {
            view.closeMounts()
            throw error
        }
        return (view, view.user)
    }

    private func unconfined(_ order: StartOrder, _ folders: Folders, _ held: uid_t) throws(SpawnerFailure) -> (ProcessStart, uid_t) {
        var user = held
        if isRoot, folders.workspace.user != user {
            user = try servedAsOwner(folders.workspace, because: "the driver 'none' has no mounts of its own")
        }
        return (withoutMounts(order, folders, ["postern-init", "unconfined"]), user)
    }

    private func withoutMounts(_ order: StartOrder, _ folders: Folders, _ arguments: [String]) -> ProcessStart {
        ProcessStart(
            path: run.executable, arguments: arguments, directory: folders.workspace.descriptor,
            descriptors: [order.control, folders.workspace.descriptor, folders.outputs.descriptor], dieWithParent: true,
            mountNamespace: run.outerMounts)
    }
}
