import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Puts a copy-on-write workspace together for a spawner that is an ordinary user, and becomes bubblewrap: `POINT PROGRAM …`, with the
/// folder and that of its changes as descriptors.
enum OverlayRole {
    static let lower = MountManifest.descriptor + 1
    static let changes = MountManifest.descriptor + 2

    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count >= 2 else { return fail("takes a folder and a program", EINVAL) }
        let entered = psb_enter_user_namespace()
        guard entered == 0 else { return fail("a user namespace for the copy-on-write workspace", -entered) }
        do throws(SpawnerFailure) {
            let mounted = psb_mount_overlay(arguments[0], try options())
            guard mounted == 0 else { return fail("the overlay of the copy-on-write workspace", -mounted) }
        } catch {
            return fail(error.text)
        }
        var pointers = arguments[1...].map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        execve(arguments[1], &pointers, &environment)
        return fail("start \(arguments[1])", errno)
    }

    /// The layers by descriptor: overlayfs takes a path, but this one leads nowhere else.
    private static func options() throws(SpawnerFailure) -> String {
        let lower = try own(lower, "the workspace")
        let changes = try own(changes, "the workspace's changes")
        func part(_ name: String) throws(SpawnerFailure) -> Int32 {
            let folder = Posix.open(changes, Array(name.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            guard folder >= 0 else { throw SpawnerFailure(text: "open the folder for changes: \(SystemError.reason(errno))") }
            return folder
        }
        func path(_ descriptor: Int32) -> String { "/proc/self/fd/\(descriptor)" }
        return ChangesFolder.overlayOptions(
            lower: path(lower), upper: path(try part(ChangesFolder.upper)), work: path(try part(ChangesFolder.work)))
    }

    /// The same folder in this mount namespace: the kernel takes no layer out of another one. Found by its path, and proven to be it.
    private static func own(_ descriptor: Int32, _ what: String) throws(SpawnerFailure) -> Int32 {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let path = try SessionView.path(of: descriptor)
        let folder = Posix.open(AT_FDCWD, Array(path.utf8), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard folder >= 0 else { throw SpawnerFailure(text: "open \(what): \(SystemError.reason(errno))") }
        guard let given = FileIdentity(of: descriptor), given == FileIdentity(of: folder) else {
            throw SpawnerFailure(text: MountProof.refusal(what))
        }
        return folder
    }

    private static func fail(_ what: String, _ code: Int32) -> Int32 { fail("\(what): \(SystemError.reason(code))") }

    private static func fail(_ text: String) -> Int32 {
        _ = Posix.write(2, Array("postern-init: \(text)\n".utf8))
        return 70
    }
}
