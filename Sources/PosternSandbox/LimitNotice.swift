import PosternSandboxWire

/// What the model is told when a call met a limit: which one, its value, and that the session goes on.
enum LimitNotice {
    /// What programs say that got no memory: the C library, Python, C++, Java, Node, Go, the shell.
    private static let outOfMemoryWords = [
        "Cannot allocate memory", "cannot allocate memory", "MemoryError", "bad_alloc", "OutOfMemoryError", "heap out of memory", "out of memory",
        "memory exhausted",
    ]

    /// The lines to be put behind a call's text; empty when no limit was met.
    /// - Parameters:
    ///   - full: places inside whose file systems have become full, which process 1 has measured.
    ///   - text: what the call gave, in which a program may have repeated what the kernel told it.
    static func lines(
        _ events: LimitEvents, _ limits: SandboxLimits, countsMemory: Bool, countsProcesses: Bool, failed: Bool, full: [String], text: String
    ) -> [String] {
        var lines: [String] = []
        if events.memoryKills > 0, let bytes = limits.memoryBytes {
            let processes = events.memoryKills == 1 ? "a process" : "\(events.memoryKills) processes"
            lines.append(
                "[memory limit: the sandbox may use \(ByteText.of(bytes)) and was out of it, so the kernel ended \(processes). "
                    + "The session goes on: work on less at a time; files in /tmp, /dev/shm and the home folder count too.]")
        } else if !countsMemory, failed, let bytes = limits.memoryBytes, outOfMemoryWords.contains(where: { text.contains($0) }) {
            lines.append(
                "[memory limit: each process may use \(ByteText.of(bytes)), and one asked for more than it could have. The session goes on: work on "
                    + "less at a time.]")
        }
        let saysRefused = !countsProcesses && failed && text.contains("Resource temporarily unavailable")
        if events.refusedProcesses > 0 || saysRefused {
            lines.append(
                "[process limit: the sandbox may have \(limits.processes) processes and threads at one time; more were refused. "
                    + "The session goes on: start fewer at a time.]")
        }
        let saysFull = failed && (text.contains("No space left on device") || text.contains("Disk quota exceeded"))
        if saysFull || !full.isEmpty {
            let which = full.isEmpty ? "a file system is full" : "\(full.joined(separator: ", ")) \(full.count == 1 ? "is" : "are") full"
            let workspace = limits.diskBytes.map { "the workspace \(ByteText.of($0))" } ?? "the workspace has the space of its disk"
            let files = limits.inodes.map { " in at most \($0) files" } ?? ""
            let temporary = limits.temporaryFolderBytes
            lines.append(
                "[disk limit: \(which). /tmp and the home folder hold \(ByteText.of(temporary)) each, /dev/shm "
                    + "\(ByteText.of(max(65_536, temporary / 4))), \(workspace)\(files). The session goes on: remove what is not needed.]")
        }
        if failed, text.contains("File size limit exceeded") || text.contains("File too large") {
            lines.append("[file size limit: a file may have \(ByteText.of(limits.fileBytes)). The session goes on.]")
        }
        return lines
    }
}
