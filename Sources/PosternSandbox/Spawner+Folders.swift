import Glibc
import PosternJSON
import PosternSandboxWire

/// Work on folders of sessions, which the spawner does because only it may touch what belongs to their users.
extension Spawner {
    /// Removes the workspace, outputs or changes folder `path`, whoever owns what is in it. A missing one is no error.
    package func removeFolder(_ path: String) async throws(SandboxError) {
        let (parent, name) = try HostFolder.openParent(of: path, "folder")
        let reply = try await connection.request(["type": "remove", "name": .string(name)], descriptors: [parent])
        for descriptor in reply.descriptors { Glibc.close(descriptor) }
        if let error = reply.body["error"]?.string { throw SandboxError(.refused, "'\(path)' cannot be removed: \(error)") }
    }

    /// Looks at what a session has left in its workspace, for whoever reads it outside of a sandbox. Bounded in time and size.
    /// - Parameter below: looks at the folder of that name in it.
    package func scanWorkspace(_ path: String, below: String? = nil) async throws(SandboxError) -> WorkspaceScanReport {
        let (parent, name) = try HostFolder.openParent(of: path, "workspace", make: false)
        var request: JSONObject = ["type": "scan", "name": .string(name)]
        request["below"] = below.map(JSON.string)
        let reply = try await connection.request(request, descriptors: [parent])
        return WorkspaceScanReport(json: try Self.report(reply, "'\(path)' cannot be looked at"))
    }

    /// What a session has changed in its copy-on-write workspace `folder`; `apply` makes the changes in `folder` itself, `discard` forgets
    /// them. One job of the spawner looks for dangers, checks the room and makes the changes: all of it under one lock.
    package func changes(_ order: ChangesOrder, in lock: ChangesLock, of folder: String) async throws(SandboxError) -> ChangesReport {
        let changes = lock.folder
        let target = try HostFolder.open(folder, "workspace")
        let parent: (descriptor: Int32, name: String)
        do throws(SandboxError) {
            parent = try HostFolder.openParent(of: changes, "folder for changes", make: false)
        } catch {
            Glibc.close(target)
            throw error
        }
        let reply = try await connection.request(
            ["type": "changes", "order": order.json, "name": .string(parent.name)], descriptors: [parent.descriptor, target])
        return ChangesReport(json: try Self.report(reply, "the changes in '\(changes)' cannot be read"))
    }

    /// Opens a file that the spawner serves to a worker that is not root; `nil` where it serves no such file.
    package func openFile(_ path: String) async throws(SandboxError) -> Int32? {
        guard let index = served?.files.firstIndex(of: path) else { return nil }
        let reply: ControlMessage
        do throws(SandboxError) {
            reply = try await connection.request(["type": "open", "file": JSON(index)], descriptors: [])
        } catch {
            throw SandboxError(error.code, "'\(path)' cannot be opened: \(error.message)")
        }
        return reply.descriptors.first
    }

    /// Opens an offloaded output for reading, whoever's it is: a plain file of the session's own in its folder `folder`. The caller closes it.
    package func openOutput(_ name: String, in folder: String) async throws(SandboxError) -> Int32 {
        let (parent, folderName) = try HostFolder.openParent(of: folder, "outputs folder", make: false)
        let reply: ControlMessage
        do throws(SandboxError) {
            reply = try await connection.request(["type": "output", "folder": .string(folderName), "name": .string(name)], descriptors: [parent])
        } catch {
            throw SandboxError(error.code, "the output '\(name)' in '\(folder)' cannot be opened: \(error.message)")
        }
        guard let file = reply.descriptors.first else { throw SandboxError(.lost, "the output '\(name)' in '\(folder)': no file came") }
        return file
    }

    private static func report(_ reply: ControlMessage, _ what: String) throws(SandboxError) -> JSON {
        defer { for descriptor in reply.descriptors { Glibc.close(descriptor) } }
        if let error = reply.body["error"]?.string { throw SandboxError(.refused, "\(what): \(error)") }
        var info = stat()
        guard let file = reply.descriptors.first, fstat(file, &info) == 0, info.st_size > 0, info.st_size < MemoryFile.largest else {
            throw SandboxError(.lost, "\(what): no report came")
        }
        guard let report = MemoryFile.json(file, size: Int(info.st_size)) else { throw SandboxError(.lost, "\(what): the report is unreadable") }
        return report
    }
}
