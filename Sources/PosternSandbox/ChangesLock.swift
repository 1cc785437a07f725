import Glibc
import PosternSandboxWire

/// The changes of a copy-on-write workspace, held so that no sandbox shows them meanwhile, whichever worker it is of: overlayfs gives no
/// sense to changes that are read or made beside it. A sandbox holds the same lock (flock) shared. It goes with this value, or this process.
package final class ChangesLock: Sendable {
    /// The folder, as in `SandboxSpec.changes`.
    package let folder: String
    private let descriptor: Int32

    /// Waits for nobody.
    /// - Throws: `SandboxError` that says who holds the changes and what to do about it.
    package init(_ folder: String) throws(SandboxError) {
        let descriptor = try HostFolder.open(folder, "folder for changes")
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let isHeldBySandboxes = code == EWOULDBLOCK && flock(descriptor, LOCK_SH | LOCK_NB) == 0
            Self.release(descriptor)
            throw SandboxError(.refused, Self.refusal(folder, code, isHeldBySandboxes: isHeldBySandboxes))
        }
        (self.folder, self.descriptor) = (folder, descriptor)
    }

    deinit { Self.release(descriptor) }

    /// Closing is not enough: a process that is being started has the file open too until it is another program, and with it the lock.
    private static func release(_ descriptor: Int32) {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func refusal(_ folder: String, _ code: Int32, isHeldBySandboxes: Bool) -> String {
        guard code == EWOULDBLOCK else { return "the changes in '\(folder)' cannot be locked: \(SystemError.reason(code))" }
        return isHeldBySandboxes
            ? "the changes in '\(folder)' are in use: the session's worker has them mounted in a sandbox. Let the session end (interrupt or archive it) "
                + "or stop its worker, then try again"
            : "another command is at work on the changes in '\(folder)': wait for its end"
    }
}
