import CPosternSandbox
import Glibc
import PosternSandboxWire

/// Makes the network namespace of a sandbox that needs ports below 1024, and becomes bubblewrap: `PROGRAM …`. Bubblewrap makes such a
/// namespace too, but no process of the sandbox has a say in it, and the kernel keeps those ports from all but its owner.
enum NetworkRole {
    static func main(_ arguments: [String]) -> Int32 {
        guard let program = arguments.first else { return fail("takes a program", EINVAL) }
        let entered = psb_enter_user_namespace()
        guard entered == 0 else { return fail("a user namespace for the sandbox's network", -entered) }
        let made = psb_own_network()
        guard made == 0 else { return fail("a network namespace with ports below 1024", -made) }
        var pointers = arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        execve(program, &pointers, &environment)
        return fail("start \(program)", errno)
    }

    private static func fail(_ what: String, _ code: Int32) -> Int32 {
        _ = Posix.write(2, Array("postern-init: \(what): \(SystemError.reason(code))\n".utf8))
        return 70
    }
}
