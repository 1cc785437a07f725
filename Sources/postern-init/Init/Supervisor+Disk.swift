import CPosternSandbox
import Glibc
import PosternJSON
import PosternSandboxWire

/// The soft limit of the workspace, for file systems that have no hard one.
extension Supervisor {
    /// A measurement under way.
    struct Measurement {
        var pid: pid_t
        var began: Int
        /// Where it leaves its numbers.
        var result: Int32
    }

    /// Starts a measurement that is due, in a process of its own: it may take long.
    func measureDisk(_ now: Int) {
        guard measurement == nil, disk.begin(at: now) else { return }
        let result = psb_memory_file("usage")
        let pid = result >= 0 ? psb_fork() : -1
        if pid == 0 {
            close(control.descriptor)
            let usage = DiskMeter.measure(workspace, most: disk.mostEntries)
            let json: JSON = ["bytes": JSON(usage.bytes), "inodes": JSON(usage.inodes), "complete": .bool(usage.isComplete)]
            _exit(Posix.write(result, json.encoded) ? 0 : 1)
        }
        if pid < 0 {
            if result >= 0 { close(result) }
            // No process to be had is the state of a fork bomb, which has a limit of its own.
            _ = disk.measured(nil, at: now, isCallRunning: bash != nil)
            return
        }
        measurement = Measurement(pid: pid, began: now, result: result)
    }

    func measured(_ done: Measurement) {
        measurement = nil
        defer { close(done.result) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = pread(done.result, &bytes, bytes.count, 0)
        let json = try? JSON(parsing: bytes[..<max(0, count)])
        let usage = json.flatMap { json -> DiskWatch.Usage? in
            guard let bytes = json["bytes"]?.int, let inodes = json["inodes"]?.int, let isComplete = json["complete"]?.bool else { return nil }
            return DiskWatch.Usage(bytes: bytes, inodes: inodes, isComplete: isComplete)
        }
        guard let excess = disk.measured(usage, at: monotonicMicroseconds(), isCallRunning: bash != nil) else { return }
        guard let bash else {
            // Told with the next result, so that it can be put right.
            diskNotice = "[disk limit: \(excess). Remove what is not needed: a command that runs on while it is so is killed.]"
            return
        }
        // Seen before this command began, which may be the one that puts it right: the next look will tell.
        guard done.began >= bash.started else { return }
        loseShell(because: "the last command filled the workspace and was killed with all its children", killing: true)
        let text = "bash: killed with everything it had started: \(excess). The session goes on: remove what is not needed"
        finishBash(text: { text + $0 }, isError: true, exitCode: nil)
    }
}
