import Logging
import PosternAudit
import PosternSandbox

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The folders that sessions work in.
struct Workspaces: Sendable {
    let configuration: WorkerConfiguration
    let state: StateFolder
    let logger: Logger

    private func directory(_ sessionID: String) -> String { "\(configuration.workdir)/\(sessionID)" }

    /// The workspace of a session, seeded if it is new.
    func prepare(_ sessionID: String) async throws(FileError) -> WorkspaceSource {
        let shared = configuration.sharedWorkspace
        let (directory, mark, source) = (directory(sessionID), state.workspaceMark(sessionID), configuration.workspaceSource)
        try await Blocking.run { () throws(FileError) in
            if try SmallFile.read(mark) == nil { try SmallFile.write([], to: mark) }
            guard !shared, let source, access(directory, F_OK) != 0 else { return }
            // Copied aside and put in place in one step: a killed worker leaves no half workspace.
            let partial = "\(directory).seed"
            try FolderTree.remove(partial)
            try FolderTree.copy(source, to: partial)
            guard rename(partial, directory) == 0 else { throw FileError("put in place", directory) }
        }
        return shared ? .folder(configuration.workdir) : .managed(directory: directory)
    }

    /// Removes what is kept of a session that is gone.
    func remove(_ sessionID: String) async {
        var folders = [state.outputs(sessionID), state.changes(sessionID)]
        if !configuration.sharedWorkspace { folders.append(directory(sessionID)) }
        for folder in folders {
            if let removeFolder = configuration.removeFolder {
                if let reason = await removeFolder(folder) {
                    logger.warning("\(folder) cannot be removed: \(reason)")
                    return
                }
            } else {
                do {
                    try await Blocking.run { () throws(FileError) in try FolderTree.remove(folder) }
                } catch {
                    logger.warning("\(error)")
                    return
                }
            }
        }
        let (mark, journal) = (state.workspaceMark(sessionID), state.journal(sessionID))
        try? await Blocking.run { () throws(FileError) in
            unlink(mark)
            unlink(journal)
        }
    }
}
