import Logging
import PosternAudit
import Testing

@testable import PosternWorker

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The worker's own folder is its own, or is refused.
@Suite struct StateFolderTests {
    private let fixture = Fixture()
    private var path: String { fixture.folder + "/state" }
    private static let subfolders = ["sessions", "outputs", "workspaces", "changes"]

    private func open(_ path: String) throws(FileError) -> StateFolder { try StateFolder(path: path, workerID: "w", hostName: "h") }

    private func refusal(_ path: String) -> FileError? {
        do throws(FileError) {
            _ = try open(path)
            return nil
        } catch { return error }
    }

    private func status(_ path: String) -> stat {
        var status = stat()
        #expect(lstat(path, &status) == 0, "\(path)")
        return status
    }

    @Test func aNewFolderIsPrivateWithAllThatIsInIt() throws {
        _ = try open(path + "/deep/er")
        for folder in [path + "/deep/er"] + Self.subfolders.map({ path + "/deep/er/" + $0 }) {
            #expect(status(folder).st_mode & 0o777 == 0o700 && status(folder).st_uid == geteuid(), "\(folder)")
        }
        // And is taken up again.
        _ = try open(path + "/deep/er")
    }

    @Test(arguments: [0o755, 0o710, 0o750, 0o702, 0o704, 0o701, 0o777, 0o1777] as [mode_t])
    func aFolderThatIsOpenToOthersIsRefused(mode: mode_t) throws {
        mkdir(path, 0o700)
        chmod(path, mode)
        let error = try #require(refusal(path))
        #expect(error.path == path && error.description.contains("chmod 700 '\(path)'") && error.description.contains("owner \(geteuid())"))
        #expect(error.description.contains("0" + String(mode & 0o777, radix: 8)) || error.description.contains("1777"), "\(error)")
        #expect(access(path + "/lock", F_OK) != 0 && access(path + "/sessions", F_OK) != 0, "nothing is made in it")
        chmod(path, 0o700)
        #expect(refusal(path) == nil, "the remedy helps")
    }

    @Test(arguments: subfolders) func soIsOneBelow(name: String) throws {
        _ = try open(path)
        chmod(path + "/" + name, 0o770)
        #expect(try #require(refusal(path)).path == path + "/" + name)
        rmdir(path + "/" + name)
        mkdir(fixture.folder + "/elsewhere", 0o700)
        symlink(fixture.folder + "/elsewhere", path + "/" + name)
        #expect(try #require(refusal(path)).description.contains("link"))
    }

    @Test(arguments: ["", "/", "//"]) func aLinkIsRefused(end: String) throws {
        mkdir(fixture.folder + "/elsewhere", 0o700)
        symlink(fixture.folder + "/elsewhere", path)
        let error = try #require(refusal(path + end))
        #expect(error.path == path && error.description.contains("a link"))
        #expect(access(fixture.folder + "/elsewhere/lock", F_OK) != 0)
    }

    @Test func aFileIsRefused() throws {
        let file = fopen(path, "w")
        if let file { fclose(file) }
        #expect(try #require(refusal(path)).description.contains("no folder"))
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a folder away")) func aFolderOfSomebodyElseIsRefused() throws {
        mkdir(path, 0o700)
        #expect(chown(path, 65_534, 65_534) == 0)
        let error = try #require(refusal(path))
        #expect(error.path == path)
        for wanted in ["user 65534", "mode 0700", "chown 0 '\(path)'"] { #expect(error.description.contains(wanted), "\(error)") }
        #expect(access(path + "/lock", F_OK) != 0)
        chown(path, 0, 0)
        _ = try open(path)
        chown(path + "/sessions", 65_534, 65_534)
        #expect(try #require(refusal(path)).path == path + "/sessions")
    }

    @Test func whatAGoneSessionChangedGoesWithTheRest() async throws {
        let state = try open(path)
        let workspaces = Workspaces(
            configuration: fixture.configuration(), state: state, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        mkdir(fixture.folder + "/work", 0o700)
        for id in ["sesn_gone", "sesn_kept"] {
            _ = try await workspaces.prepare(id)
            for folder in [state.changes(id), state.changes(id) + "/upper", state.outputs(id), fixture.folder + "/work/" + id] {
                mkdir(folder, 0o700)
            }
            try SmallFile.write([1], to: state.changes(id) + "/upper/file")
        }
        await workspaces.remove("sesn_gone")
        for gone in [state.changes("sesn_gone"), state.outputs("sesn_gone"), fixture.folder + "/work/sesn_gone", state.workspaceMark("sesn_gone")] {
            #expect(access(gone, F_OK) != 0, "\(gone)")
        }
        for kept in [state.changes("sesn_kept") + "/upper/file", state.outputs("sesn_kept"), state.workspaceMark("sesn_kept")] {
            #expect(access(kept, F_OK) == 0, "\(kept)")
        }
    }
}
