import Glibc

/// Stops all processes below one where no control group can: by SIGSTOP to each, again and again, until two looks in a row find the same
/// processes and none of them running.
struct StoppedTree {
    private var last: [pid_t] = []

    /// One look, and a signal to whatever still runs. `true` when all stand still.
    mutating func stop(_ root: pid_t) -> Bool {
        let all = [root] + Descendants.list(below: root)
        let running = all.filter { !Self.isStill($0) }
        for pid in running { kill(pid, SIGSTOP) }
        defer { last = running.isEmpty ? all : [] }
        return running.isEmpty && all == last
    }

    /// Lets all run again. `true` when none stands still any more.
    mutating func resume(_ root: pid_t) -> Bool {
        last = []
        let all = [root] + Descendants.list(below: root)
        for pid in all { kill(pid, SIGCONT) }
        return true
    }

    /// Stopped or dead, by the kernel's word (proc(5), field 3 of stat).
    private static func isStill(_ pid: pid_t) -> Bool {
        guard let line = CgroupFile.read("/proc/\(pid)", "stat"), let end = line.lastIndex(of: ")") else { return true }
        let state = line[line.index(after: end)...].first { $0 != " " }
        return state == "T" || state == "t" || state == "Z" || state == "X"
    }
}
