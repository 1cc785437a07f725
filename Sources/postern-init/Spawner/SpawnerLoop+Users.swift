import Glibc
import PosternSandboxWire

extension SpawnerLoop {
    /// The user of a session: the one that owns its folders from before, else one that nobody has. It is held until `giveBack`. An
    /// ordinary user's spawner knows only that user.
    func takeUser(_ order: StartOrder) throws(SpawnerFailure) -> uid_t {
        guard let users else { return geteuid() }
        let place = try SessionView.path(of: order.outputsParent)
        // After a start of the machine nobody knows any more whose users they are but the folders themselves.
        if knownPlaces.insert(place).inserted {
            for (user, name) in SessionFolders.owners(in: order.outputsParent) { users.keep(user, for: "\(place)/\(name)") }
        }
        let folderPath = "\(place)/\(order.outputsName)"
        if let folder = try SessionFolders.open(order.outputsName, in: order.outputsParent, make: false, owner: nil, "tool outputs folder") {
            close(folder.descriptor)
            if users.range.contains(folder.user) {
                do throws(SessionUsers.Refusal) {
                    try users.take(folder.user, for: folderPath, isReturning: true)
                    return folder.user
                } catch {
                    throw SpawnerFailure(
                        text: "user \(folder.user), to whom this session's tool outputs belong, is in use by another sandbox\(Self.reason(error))")
                }
            }
        }
        // Users of what lies beside are taken by sessions that may come back.
        var taken = Set(SessionFolders.owners(in: order.outputsParent).keys)
        if order.workspaceName != nil { taken.formUnion(SessionFolders.owners(in: order.workspace).keys) }
        do throws(SessionUsers.Refusal) {
            if let user = try users.takeAny(for: folderPath, except: taken) { return user }
        } catch {
            throw SpawnerFailure(text: "no user can be held for the session\(Self.reason(error))")
        }
        throw SpawnerFailure(
            text:
                "every user from \(users.range.lowerBound) to \(users.range.upperBound) is taken by a session; remove old workspaces or widen the range"
        )
    }

    private static func reason(_ refusal: SessionUsers.Refusal) -> String {
        switch refusal {
        case .held: ""
        case .busy: ": processes of that user are running"
        case .failed(let text): ": \(text)"
        }
    }

    func servedAsOwner(_ workspace: SessionFolders.Folder, because reason: String) throws(SpawnerFailure) -> uid_t {
        guard workspace.user != 0 else {
            throw SpawnerFailure(
                text: "the workspace belongs to root and \(reason), so it could only be served as root, which is refused: "
                    + "give the folder to an ordinary user (chown), or let the worker make the workspace")
        }
        return workspace.user
    }
}
