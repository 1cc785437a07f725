import CPosternSandbox
import Glibc
import PosternSandboxWire

/// How a process is to be started; see `psb_process`, whose fields these are.
struct ProcessStart {
    var path: String
    var arguments: [String]
    var environment: [String] = []
    var directory: Int32 = -1
    /// Become 0, 1, … of the process; it gets no other descriptor.
    var descriptors: [Int32]
    var newSession = true
    /// Limits of the new process; `nil` leaves them.
    var limits: SandboxLimits?
    var user: uid_t = 0
    var group: gid_t = 0
    var dieWithParent = false
    var mounts: [(tree: Int32, point: String)] = []
    var mountNamespace: Int32 = -1

    /// The pid.
    func start() throws(SystemFailure) -> pid_t {
        let pid = withStrings(arguments) { arguments in
            withStrings(environment) { environment in
                withStrings(mounts.map(\.point)) { points in
                    path.withCString { path in
                        descriptors.withUnsafeBufferPointer { descriptors in
                            mounts.map(\.tree).withUnsafeBufferPointer { trees in
                                points.withMemoryRebound(to: UnsafePointer<CChar>?.self) { points in
                                    var process = psb_process(
                                        path: path, arguments: arguments.baseAddress, environment: environment.baseAddress, directory: directory,
                                        descriptors: descriptors.baseAddress, descriptor_count: Int32(descriptors.count),
                                        new_session: newSession ? 1 : 0, process_limit: UInt64(limits?.processes ?? 0),
                                        address_space_limit: UInt64(max(0, limits?.addressSpaceBytes ?? 0)),
                                        cpu_limit: UInt64(max(0, limits?.cpuSeconds ?? 0)), uid: user, gid: group,
                                        die_with_parent: dieWithParent ? 1 : 0, mounts: trees.baseAddress, mount_points: points.baseAddress,
                                        mount_count: Int32(trees.count), mount_namespace: mountNamespace)
                                    return psb_spawn(&process)
                                }
                            }
                        }
                    }
                }
            }
        }
        guard pid > 0 else { throw SystemFailure("start \(path)", -pid) }
        return pid
    }

    /// Runs `body` with the strings as a null-terminated array of C strings.
    private func withStrings<Result>(_ strings: [String], _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        var pointers = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0) }
    }
}
