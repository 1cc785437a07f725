import CPosternSandbox
import Glibc

/// A program of this machine that is started outside of any sandbox, with the pointers that `psb_spawn` asks for.
package struct ProgramStart: Sendable {
    package var path: String
    /// The first one is the program's own name.
    package var arguments: [String]
    /// `NAME=value`; nothing is inherited.
    package var environment: [String] = []
    /// They become 0, 1, 2 and so on; no other is open in the program.
    package var descriptors: [Int32]
    /// Signals of the terminal are not the program's.
    package var hasOwnSession = false
    package var ignoresTermination = false
    /// Whom it becomes, with the group of the same number and no other; `nil` leaves it who starts it.
    package var user: UInt32?
    /// Killed with the thread that starts it.
    package var diesWithStarter = false
    /// 0 leaves the limit as it is.
    package var openFiles: UInt64 = 0

    package init(_ arguments: [String], path: String? = nil, descriptors: [Int32]) {
        (self.path, self.arguments, self.descriptors) = (path ?? arguments.first ?? "", arguments, descriptors)
    }

    /// The process, or the negative errno of what failed.
    package func start() -> pid_t {
        let arguments = arguments.map { strdup($0) } + [nil]
        let environment = environment.map { strdup($0) } + [nil]
        defer { for pointer in arguments + environment { free(pointer) } }
        return arguments.withUnsafeBufferPointer { arguments in
            environment.withUnsafeBufferPointer { environment in
                descriptors.withUnsafeBufferPointer { descriptors in
                    path.withCString { path in
                        var process = psb_process()
                        process.path = path
                        process.arguments = arguments.baseAddress
                        process.environment = environment.baseAddress
                        process.directory = -1
                        process.mount_namespace = -1
                        process.descriptors = descriptors.baseAddress
                        process.descriptor_count = Int32(descriptors.count)
                        process.new_session = hasOwnSession ? 1 : 0
                        process.ignore_termination = ignoresTermination ? 1 : 0
                        process.die_with_parent = diesWithStarter ? 1 : 0
                        process.open_files_limit = openFiles
                        if let user { (process.uid, process.gid) = (user, user) }
                        return psb_spawn(&process)
                    }
                }
            }
        }
    }
}
