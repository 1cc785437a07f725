import CPosternSandbox

/// What the proxy process gives up before it reads the first byte from a sandbox.
enum ProcessHardening {
    /// Undumpable, no core, no new privileges, and the filter of egress_filter.c on every thread. Why it failed; `nil` when it did not.
    static func apply() -> String? {
        #if os(Linux)
        let steps: [(String, () -> Int32)] = [
            ("undumpable", psb_make_undumpable), ("no core", { psb_set_limit(Int32(PSB_LIMIT_CORE), 0) }),
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
