import CPosternSandbox
import Glibc
import PosternSandboxWire

/// What Landlock allows in a sandbox: what its mounts are meant to show, said a second time by another part of the kernel. Should a
/// mount show more by mistake, that can be listed but neither read, run nor changed.
struct LandlockPlan {
    struct Rule: Equatable {
        var path: String
        var rights: Int

        init(_ path: String, _ rights: Int) {
            self.path = path
            self.rights = rights
        }
    }

    private static let read = Int(PSB_MAY_READ)
    private static let run = Int(PSB_MAY_READ | PSB_MAY_EXECUTE)
    private static let write = Int(PSB_MAY_READ | PSB_MAY_WRITE)
    private static let own = Int(PSB_MAY_READ | PSB_MAY_EXECUTE | PSB_MAY_WRITE | PSB_MAY_MAKE)
    private static let control = Int(PSB_MAY_READ | PSB_MAY_WRITE | PSB_MAY_CONTROL)

    var rules: [Rule]

    init(roots: ToolRoots, configuration: InitConfiguration) {
        rules = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", SandboxPaths.initProgram].map { Rule($0, Self.run) }
        // Nothing in /proc is to be written: a process changes itself by system calls.
        rules += ["/etc", "/proc"].map { Rule($0, Self.read) }
        rules += [Rule("/dev", Self.write), Rule("/dev/pts", Self.control), Rule("/dev/tty", Self.control)]
        rules += ["/tmp", "/dev/shm", roots.home, roots.outputs].map { Rule($0, Self.own) }
        rules.append(Rule(roots.workspace, configuration.isWorkspaceReadOnly ? Self.run : Self.own))
        rules += configuration.paths.map { Rule($0.path, $0.isWritable ? Self.own : Self.run) }
    }

    /// Puts the rules in force for this process and all that it starts. The ABI that is in force, 0 for none; at most `newestABI`
    /// unless that is 0.
    func apply(refusingTCP: Bool, newestABI: Int) throws(SystemFailure) -> Int {
        let paths = rules.map { strdup($0.path) }
        defer { for path in paths { free(path) } }
        let list = zip(paths, rules).map { psb_path_rule(path: $0, rights: Int32($1.rights)) }
        let result = psb_restrict(list, list.count, refusingTCP ? 1 : 0, SandboxPaths.listenerPort, Int32(newestABI))
        guard result >= 0 else { throw SystemFailure("Landlock", -result) }
        return Int(result)
    }
}
