import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Puts a copy-on-write workspace together for a spawner that is an ordinary user, and becomes bubblewrap: `POINT OPTIONS PROGRAM …`.
enum OverlayRole {
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count >= 3 else { return fail("takes a folder, options and a program", EINVAL) }
        let entered = psb_enter_user_namespace()
        guard entered == 0 else { return fail("a user namespace for the copy-on-write workspace", -entered) }
        let mounted = psb_mount_overlay(arguments[0], arguments[1])
        guard mounted == 0 else { return fail("the overlay of the copy-on-write workspace", -mounted) }
        var pointers = arguments[2...].map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        execve(arguments[2], &pointers, &environment)
        return fail("start \(arguments[2])", errno)
    }

    private static func fail(_ what: String, _ code: Int32) -> Int32 {
        _ = Posix.write(2, Array("postern-init: \(what): \(SystemError.reason(code))\n".utf8))
        return 70
    }
}
