import CPosternSandbox
import NIOCore

/// What the proxy process gives up before it reads the first byte from a sandbox.
enum ProcessHardening {
    /// The most memory that the process may make its own, in bytes: whatever a sandbox sends, the kernel refuses more, and the proxy ends
    /// rather than the machine. A connection at its worst (TLS both ways, a body that is held to be filled, twice) takes some 3 MiB, a
    /// thread a stack of 8 MiB; there are two for each processor at most.
    static func memory(connections: Int, processors: Int) -> Int { (256 + 3 * connections + 16 * processors) << 20 }

    /// Files by `ReadableFiles`; undumpable, no core, bounded memory, no new privileges, and the filter of egress_filter.c on every thread.
    /// Why it failed; `nil` when it did not.
    static func apply() -> String? {
        #if os(Linux)
        if case .failed(let reason) = ReadableFiles.restriction { return "files: \(reason)" }
        let memory = memory(connections: EgressConfiguration.Limits().connections, processors: System.coreCount)
        let steps: [(String, () -> Int32)] = [
            ("undumpable", psb_make_undumpable), ("no core", { psb_set_limit(Int32(PSB_LIMIT_CORE), 0) }),
            ("bounded memory", { psb_set_limit(Int32(PSB_LIMIT_DATA), UInt64(memory)) }),
            // Every session has a bound on its connections; together they need room, or one could take what the others need.
            ("open files", { psb_set_limit(Int32(PSB_LIMIT_OPEN_FILES), 65_536) }),
            ("no new privileges", psb_set_no_new_privs), ("seccomp", psb_install_egress_filter),
        ]
        for (name, step) in steps {
            let result = step()
            if result < 0 { return "\(name): error \(-result)" }
        }
        #endif
        return nil
    }
}
