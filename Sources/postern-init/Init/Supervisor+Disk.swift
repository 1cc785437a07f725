import CPosternSandbox
import Glibc
import PosternSandboxWire

/// The soft limit of the workspace, for file systems that have no hard one.
extension Supervisor {
    private static let timeToPutRight = 1_000_000

    private var processes: SandboxProcesses { SandboxProcesses(haveNamespace: layers.contains(.namespaces)) }

    /// Goes on with a measurement, or starts one that is due.
    func measureDisk(_ now: Int) {
        if measurement == nil, let due = disk.due, now >= due { lookAtDisk(now) }
        guard let usage = measurement?.run(), let done = measurement else { return }
        measurement = nil
        lastStillness = done.stillness
        let excess = disk.measured(usage, at: monotonicMicroseconds(), took: done.spent)
        let before = lastExcess
        lastExcess = excess == nil ? nil : usage
        if excess == nil { isToldOfExcess = false }
        if let excess { exceeded(excess, usage, before: before, began: done.began) }
    }

    private func lookAtDisk(_ now: Int) {
        let all = processes.list()
        // Taken before anything is measured, so that whatever runs meanwhile counts as having run since.
        let stillness = SandboxProcesses.stillness(of: all, started: startedProcesses)
        if let stillness, stillness == lastStillness {
            disk.rested(at: now, isAlone: others(all).isEmpty)
            return
        }
        guard disk.look(at: now, volumeBytes: DiskMeter.volumeBytes(of: workspace)) == .measure else { return }
        let own = Set([getpid()] + tools.map(\.pid))
        measurement = DiskMeter(
            at: now, places: (workspace, store.directory), outputsBound: configuration.limits.toolOutputBytes, most: disk.mostEntries,
            stillness: stillness, kept: OpenFileScan(processes, own: own, workspace: workspace, memoryFolders: ["/tmp", "/dev/shm", roots.home]))
    }

    /// Processes beside the shell and the file tools.
    private func others(_ all: [pid_t]) -> [pid_t] { all.filter { pid in pid != shell?.pid && !tools.contains { $0.pid == pid } } }

    /// - Parameter before: what the measurement before this one found, if that was an excess too.
    private func exceeded(_ excess: String, _ usage: DiskWatch.Usage, before: DiskWatch.Usage?, began: Int) {
        if let bash {
            // This command may be the one that puts it right, and has a while for that, unless it becomes worse still.
            let isWorse = before.map { usage.bytes > $0.bytes || usage.inodes > $0.inodes } ?? false
            guard isWorse || began - bash.started >= Self.timeToPutRight else {
                // Looked at again even if nothing runs any more until then.
                lastStillness = nil
                return
            }
            loseShell(because: "the last command filled the workspace and was killed with all its children", killing: true)
            isToldOfExcess = true
            let text = "bash: killed with everything it had started: \(excess). The session goes on: remove what is not needed"
            finishBash(text: { text + $0 }, isError: true, exitCode: nil)
            runNextBash()
            return
        }
        // Told with the next result, so that it can be put right; once until it is.
        if !isToldOfExcess {
            isToldOfExcess = true
            diskNotice = "[disk limit: \(excess). Remove what is not needed: a command that runs on while it is so is killed.]"
        }
        let background = others(processes.list()).filter { !SandboxProcesses.isDead($0, $0) }
        guard !background.isEmpty || usage.deletedBytes > 0 || usage.hasHidden else { return }
        loseShell(because: "programs that ran on in the background filled the workspace and were killed with everything else", killing: true)
        diskNotice =
            "[disk limit: \(excess), so that everything that still ran was killed. The session goes on: remove what is not needed; a command that "
            + "runs on while it is so is killed.]"
    }
}
