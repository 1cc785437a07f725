import PosternJSON

/// What one sandbox may use. Every bound is the kernel's (rlimit, size of a tmpfs) except `toolOutputBytes`, which `postern-init`
/// keeps, and `toolTimeoutMilliseconds`.
package struct SandboxLimits: Sendable, Hashable {
    /// Processes and threads at one time (RLIMIT_NPROC). 16 to 1,000,000.
    package var processes = 512
    /// Address space of each process in bytes (RLIMIT_AS); `nil` is no bound, which runtimes that reserve much (Go, Java, Node) need.
    package var addressSpaceBytes: Int?
    /// Open descriptors of each process. 64 to 1,048,576.
    package var openFiles = 4096
    /// Size of a file that a process writes, in bytes (RLIMIT_FSIZE).
    package var fileBytes = 16 << 30
    /// CPU seconds of each process; `nil` is no bound.
    package var cpuSeconds: Int?
    /// Size of `/tmp` and of the home folder, each a tmpfs, and a quarter of it for `/dev/shm`, in bytes.
    package var temporaryBytes = 1 << 30
    /// Bytes that the tool outputs kept by offloading may take together.
    package var toolOutputBytes = 1 << 30
    /// A file tool (all but `bash`) that runs longer is killed. Milliseconds.
    package var toolTimeoutMilliseconds = 30_000

    package init() {}

    package var json: JSON {
        [
            "processes": JSON(processes), "address_space": addressSpaceBytes.map { JSON($0) } ?? .null, "open_files": JSON(openFiles),
            "file_bytes": JSON(fileBytes), "cpu_seconds": cpuSeconds.map { JSON($0) } ?? .null, "temporary_bytes": JSON(temporaryBytes),
            "tool_output_bytes": JSON(toolOutputBytes), "tool_timeout_ms": JSON(toolTimeoutMilliseconds),
        ]
    }

    /// The limits of a message; what is absent or out of bounds keeps its default.
    package init(json: JSON?) {
        func take(_ key: String, _ bounds: ClosedRange<Int>, _ value: inout Int) {
            if let given = json?[key]?.int, bounds.contains(given) { value = given }
        }
        take("processes", 16...1_000_000, &processes)
        take("open_files", 64...1_048_576, &openFiles)
        take("file_bytes", 1...Int.max, &fileBytes)
        take("temporary_bytes", 65_536...(1 << 40), &temporaryBytes)
        take("tool_output_bytes", 0...Int.max, &toolOutputBytes)
        take("tool_timeout_ms", 1...3_600_000, &toolTimeoutMilliseconds)
        addressSpaceBytes = json?["address_space"]?.int
        cpuSeconds = json?["cpu_seconds"]?.int
    }
}
