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
    /// Whoever ends a whole tree of processes, or a control group, asks the worker, which then ends this in its own time.
    var ignoresTermination = false
    var mounts: [(tree: Int32, point: String)] = []
    /// Where an overlay goes after `mounts`, and its options.
    var overlay: (point: String, options: String)?
    /// Of a sandbox with mounts: the one of `descriptors` that is made for this process, to be closed once it has started.
    var manifest: Int32?
    /// Control groups to be in from the first instruction on.
    var groups = JoinedGroups()
    /// RLIMIT_DATA in bytes.
    var dataBytes: Int?
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
                                    var process = psb_process()
                                    process.path = path
                                    process.arguments = UnsafePointer(arguments.baseAddress)
                                    process.environment = UnsafePointer(environment.baseAddress)
                                    process.directory = directory
                                    process.descriptors = descriptors.baseAddress
                                    process.descriptor_count = Int32(descriptors.count)
                                    process.new_session = newSession ? 1 : 0
                                    // A little more than the control group's, which says when it refuses.
                                    process.process_limit = limits.map { UInt64($0.processes + 8) } ?? 0
                                    process.address_space_limit = UInt64(max(0, limits?.addressSpaceBytes ?? 0))
                                    process.open_files_limit = limits.map { UInt64($0.openFiles) } ?? 0
                                    process.cpu_limit = UInt64(max(0, limits?.cpuSeconds ?? 0))
                                    process.uid = user
                                    process.gid = group
                                    process.die_with_parent = dieWithParent ? 1 : 0
                                    process.ignore_termination = ignoresTermination ? 1 : 0
                                    process.mounts = trees.baseAddress
                                    process.mount_points = UnsafePointer(points.baseAddress)
                                    process.mount_count = Int32(trees.count)
                                    process.mount_namespace = mountNamespace
                                    process.data_limit = UInt64(max(0, dataBytes ?? 0))
                                    process.group_folder = groups.folder
                                    return groups.members.withUnsafeBufferPointer { groups in
                                        process.groups = groups.baseAddress
                                        process.group_count = Int32(groups.count)
                                        return spawn(&process)
                                    }
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

    /// With the overlay's strings, if there is one.
    private func spawn(_ process: inout psb_process) -> pid_t {
        guard let overlay else { return psb_spawn(&process) }
        return overlay.point.withCString { point in
            overlay.options.withCString { options in
                process.overlay_point = point
                process.overlay_options = options
                return psb_spawn(&process)
            }
        }
    }

    /// Runs `body` with the strings as a null-terminated array of C strings.
    private func withStrings<Result>(_ strings: [String], _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        var pointers = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0) }
    }
}
