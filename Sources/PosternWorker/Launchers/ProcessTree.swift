#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Every process of one launcher run, wherever it has gone: the script's session, whatever carries the run's mark in its environment, and
/// the children of all of these. Asking them to end spares what a launched worker still needs for its own end. These calls block.
struct ProcessTree: Sendable {
    /// The script, which leads a session and a process group of its own.
    let leader: pid_t
    /// `NAME=value`.
    let mark: String

    /// Sends SIGTERM to the script and to what it has started. Not to a spawner, which ignores it and ends with its worker, and to nothing
    /// below one: a worker that drains still needs its sandboxes.
    ///
    /// - Parameter hasLeader: as of `members`.
    func terminate(hasLeader: Bool) {
        if hasLeader { _ = kill(-leader, SIGTERM) }
        for one in members(of: ProcessTable(), hasLeader: hasLeader, except: Self.ignoresTermination) { _ = kill(one.pid, SIGTERM) }
    }

    /// Kills all. It looks again until none is left, since a process can fork while it is looked for.
    ///
    /// - Parameter hasLeader: as of `members`.
    func killAll(hasLeader: Bool) {
        if hasLeader { _ = kill(-leader, SIGKILL) }
        for _ in 0..<50 {
            let members = members(of: ProcessTable(), hasLeader: hasLeader)
            if members.isEmpty { return }
            for one in members { _ = kill(one.pid, SIGKILL) }
        }
    }

    /// Living members, by their numbers. Elsewhere than on Linux, which has no `/proc`, only the process group is known and this is empty.
    /// - Parameters:
    ///   - hasLeader: the script has not ended, so that its number cannot be another's by now.
    ///   - isLeftOut: asked of what is neither in the script's session nor marked; it and what is below it are left out.
    func members(
        of table: ProcessTable, hasLeader: Bool = true, except isLeftOut: (pid_t) -> Bool = { _ in false }
    ) -> [ProcessTable.Entry] {
        var found = Set(
            table.entries.filter { hasLeader && ($0.session == leader || $0.pid == leader) || $0.marks.contains(mark) }.map(\.pid))
        var passed: Set<pid_t> = []
        while true {
            let children = table.entries.filter { found.contains($0.parent) && !found.contains($0.pid) && passed.insert($0.pid).inserted }
            if children.isEmpty { break }
            found.formUnion(children.map(\.pid).filter { !isLeftOut($0) })
        }
        return table.entries.filter { found.contains($0.pid) }.sorted { $0.pid < $1.pid }
    }

    /// By the kernel's word (proc(5), SigIgn in status).
    private static func ignoresTermination(_ pid: pid_t) -> Bool {
        guard let bytes = ProcessTable.read("/proc/\(pid)/status") else { return false }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
        guard let mask = line?.split(whereSeparator: \.isWhitespace).last.flatMap({ UInt64($0, radix: 16) }) else { return false }
        return mask & 1 << UInt64(SIGTERM - 1) != 0
    }
}
