import Glibc

/// Stops all processes below one where no control group can: by SIGSTOP to each, again and again, until two looks in a row find the same
/// processes and none of them running.
struct StoppedTree {
    private var last: [pid_t] = []
    /// Who has been sent the signal since the last `resume`.
    private var signalled: Set<pid_t> = []

    private enum State {
        /// Stopped or dead.
        case still
        /// In the kernel, without heed to signals. One that has been sent SIGSTOP never comes back from there to its program: it stops on the
        /// way. So does the parent of a vfork whose child was stopped before its execve, and it would be waited for in vain.
        case inKernel
        case running
    }

    /// One look, and a signal to whatever still runs. `true` when all stand still.
    mutating func stop(_ root: pid_t) -> Bool {
        let all = [root] + Descendants.list(below: root)
        var isStill = true
        for pid in all {
            let state = Self.state(pid)
            guard state != .still else { continue }
            if state == .running || !signalled.contains(pid) { isStill = false }
            if kill(pid, SIGSTOP) == 0 { signalled.insert(pid) }
        }
        defer { last = isStill ? all : [] }
        return isStill && all == last
    }

    /// Lets all run again.
    mutating func resume(_ root: pid_t) {
        last = []
        signalled = []
        for pid in [root] + Descendants.list(below: root) { kill(pid, SIGCONT) }
    }

    /// By the kernel's word (proc(5), field 3 of stat).
    private static func state(_ pid: pid_t) -> State {
        guard let line = CgroupFile.read("/proc/\(pid)", "stat"), let end = line.lastIndex(of: ")") else { return .still }
        switch line[line.index(after: end)...].first(where: { $0 != " " }) {
        case "T", "t", "Z", "X": return .still
        case "D": return .inKernel
        default: return .running
        }
    }
}
