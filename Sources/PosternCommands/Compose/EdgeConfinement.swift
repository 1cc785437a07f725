import CPosternSandbox
import Logging
import PosternEgress

/// What a process that is an edge gives up before it takes its first connection.
enum EdgeConfinement {
    /// The first thing that an edge does which the control plane has started, before it has a second thread: no file can be opened any more but
    /// those that names are resolved and control planes believed with.
    static func begin() { ReadableFiles.restrict() }

    /// Undumpable, no core, no new privileges, and on every thread the seccomp program of processes that move bytes between sockets
    /// (egress_filter.c): nothing is executed, traced, created or written, no socket but of TCP and UDP is made.
    static func apply() throws(CommandError) {
        #if os(Linux)
        let steps: [(String, () -> Int32)] = [
            ("undumpable", psb_make_undumpable), ("no core", { psb_set_limit(Int32(PSB_LIMIT_CORE), 0) }),
            // Everybody who calls is a descriptor or two.
            ("open files", { psb_set_limit(Int32(PSB_LIMIT_OPEN_FILES), 65_536) }), ("no new privileges", psb_set_no_new_privs),
            ("seccomp", psb_install_egress_filter),
        ]
        for (name, step) in steps {
            let result = step()
            guard result >= 0 else { throw CommandError(.failure, "the edge cannot be confined: \(name): error \(-result)") }
        }
        #endif
    }

    /// What is missing of it, for the log.
    static func report(to logger: Logger) throws(CommandError) {
        switch ReadableFiles.restriction {
        case .restricted: break
        case .unavailable: logger.warning("this kernel has no Landlock: the edge may read whatever files its user may")
        case .failed(let reason): throw CommandError(.failure, "the edge cannot be confined: files: \(reason)")
        }
    }
}
