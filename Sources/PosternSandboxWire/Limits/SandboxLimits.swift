import PosternJSON

/// What one sandbox may use. Who enforces each bound on a machine is told by `LimitReport`.
package struct SandboxLimits: Sendable, Hashable {
    /// Processes and threads at one time (RLIMIT_NPROC, and pids.max where there is a control group). 16 to 1,000,000.
    package var processes = 512
    /// Memory of all processes together with what is in `/tmp`, the home folder and `/dev/shm`, in bytes. 64 MiB to 64 TiB; `nil` is no bound.
    /// Without a memory control group it bounds the data of each process (RLIMIT_DATA).
    package var memoryBytes: Int? = 4 << 30
    /// Processor time, in hundredths of one processor: 150 is one and a half. 1 to 100,000; `nil` is no bound.
    package var cpuPercent: Int?
    /// Bytes a second read from, and as many written to, the disk of the workspace. 65,536 to 1 TiB; `nil` is no bound.
    package var ioBytesPerSecond: Int?
    /// Bytes that the workspace may hold. 1 MiB to 1 PiB; `nil` is no bound.
    package var diskBytes: Int?
    /// Files and folders that the workspace may hold. 100 to 1,000,000,000; `nil` is no bound.
    package var inodes: Int?
    /// Address space of each process in bytes (RLIMIT_AS); `nil` is no bound, which runtimes that reserve much (Go, Java, Node) need.
    package var addressSpaceBytes: Int?
    /// Open descriptors of each process. 64 to 1,048,576.
    package var openFiles = 4096
    /// Size of a file that a process writes, in bytes (RLIMIT_FSIZE).
    package var fileBytes = 16 << 30
    /// CPU seconds of each process; `nil` is no bound.
    package var cpuSeconds: Int?
    /// Size of `/tmp` and of the home folder, each a tmpfs, and a quarter of it for `/dev/shm`, in bytes. Never more than a quarter of
    /// `memoryBytes`, which pays for it: see `temporaryFolderBytes`.
    package var temporaryBytes = 1 << 30
    /// Bytes that the tool outputs kept by offloading may take together.
    package var toolOutputBytes = 1 << 30
    /// A file tool (all but `bash`) that runs longer is killed. Milliseconds.
    package var toolTimeoutMilliseconds = 30_000
    /// A bash call runs no longer than this, whatever it asks for. Milliseconds, 100 to 3,600,000.
    package var callTimeoutMilliseconds = 3_600_000

    package init() {}

    /// The size of `/tmp` and of the home folder. Full ones leave half of the memory to processes: otherwise a sandbox whose files fill its
    /// memory could not even start a shell to remove them.
    package var temporaryFolderBytes: Int { memoryBytes.map { min(temporaryBytes, $0 / 4) } ?? temporaryBytes }

    package var json: JSON {
        func number(_ value: Int?) -> JSON { value.map { JSON($0) } ?? .null }
        return [
            "processes": JSON(processes), "memory_bytes": number(memoryBytes), "cpu_percent": number(cpuPercent),
            "io_bytes_per_second": number(ioBytesPerSecond), "disk_bytes": number(diskBytes), "inodes": number(inodes),
            "address_space": number(addressSpaceBytes), "open_files": JSON(openFiles), "file_bytes": JSON(fileBytes),
            "cpu_seconds": number(cpuSeconds), "temporary_bytes": JSON(temporaryBytes), "tool_output_bytes": JSON(toolOutputBytes),
            "tool_timeout_ms": JSON(toolTimeoutMilliseconds), "call_timeout_ms": JSON(callTimeoutMilliseconds),
        ]
    }

    /// The limits of a message; what is absent or out of bounds keeps its default, and null lifts a bound that can be lifted.
    package init(json: JSON?) {
        func take(_ key: String, _ bounds: ClosedRange<Int>, _ value: inout Int) {
            if let given = json?[key]?.int, bounds.contains(given) { value = given }
        }
        func take(_ key: String, _ bounds: ClosedRange<Int>, _ value: inout Int?) {
            guard let given = json?[key] else { return }
            if given == .null { value = nil } else if let number = given.int, bounds.contains(number) { value = number }
        }
        take("processes", 16...1_000_000, &processes)
        take("memory_bytes", (64 << 20)...(64 << 40), &memoryBytes)
        take("cpu_percent", 1...100_000, &cpuPercent)
        take("io_bytes_per_second", 65_536...(1 << 40), &ioBytesPerSecond)
        take("disk_bytes", (1 << 20)...(1 << 50), &diskBytes)
        take("inodes", 100...1_000_000_000, &inodes)
        take("address_space", 1...Int.max, &addressSpaceBytes)
        take("open_files", 64...1_048_576, &openFiles)
        take("file_bytes", 1...Int.max, &fileBytes)
        take("cpu_seconds", 1...Int.max, &cpuSeconds)
        take("temporary_bytes", 65_536...(1 << 40), &temporaryBytes)
        take("tool_output_bytes", 0...Int.max, &toolOutputBytes)
        take("tool_timeout_ms", 1...3_600_000, &toolTimeoutMilliseconds)
        take("call_timeout_ms", 100...3_600_000, &callTimeoutMilliseconds)
    }
}
