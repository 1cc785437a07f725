import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// Attacks on the machine's resources, as root and as an ordinary user: each ends with a clear result, and the next call works.
@Suite(.serialized) struct LimitTests {
    private static func limited(_ mode: Mode, _ change: (inout SandboxLimits) -> Void, _ body: (Box) async throws -> Void) async throws {
        var limits = SandboxLimits()
        limits.memoryBytes = 256 << 20
        limits.processes = 64
        change(&limits)
        let before = Processes.residentBytes
        try await Box.with(mode, change: { spec, _ in spec.limits = limits }) { (box: Box) async throws in
            try await body(box)
            // Whatever happened, the session goes on.
            #expect(try await box.sh("echo still here").hasSuffix("still here"))
            #expect(try await box.call("write", ["file_path": "after", "content": "x"]).isError == false)
            let peak = box.sandbox.memoryPeak.map(ByteText.of) ?? "not counted"
            print("limits: \(mode): peak of the sandbox \(peak), this process grew by \(ByteText.of(max(0, Processes.residentBytes - before)))")
        }
    }

    @Test(arguments: Mode.possible) func survivesAMemoryHog(mode: Mode) async throws {
        try await Self.limited(mode, { _ in }) { box in
            let hog = try await box.bash("python3 -c 'x = [bytearray(1 << 20) for _ in range(2000)]'")
            if case .kernel = box.sandbox.limitReport[.memory] {
                #expect(hog.text.contains("[memory limit: the sandbox may use 256 MiB"), "\(hog.text)")
                #expect(hog.exitCode == 137)
                #expect(box.sandbox.memoryPeak ?? .max <= 257 << 20)
            } else {
                #expect(hog.text.contains("MemoryError") && hog.text.contains("[memory limit: each process may use 256 MiB"), "\(hog.text)")
            }
            // The shell itself grows.
            let shell = try await box.bash("x=$(head -c 900000000 /dev/zero | tr '\\0' x); echo ${#x}", timeout: 60_000)
            #expect(shell.isError, "\(shell.text)")
        }
    }

    @Test(arguments: Mode.possible) func survivesAForkBomb(mode: Mode) async throws {
        try await Self.limited(mode, { $0.processes = 64 }) { box in
            let bomb = try await box.bash("bomb() { bomb | bomb & }; bomb; sleep 1; echo over", timeout: 5000)
            let many = try await box.bash("for i in $(seq 200); do sleep 600 & done; jobs -p | wc -l", timeout: 5000)
            #expect((bomb.text + many.text).contains("[process limit: the sandbox may have 64 processes"), "\(bomb.text) \(many.text)")
            let count = Processes.ofUser(box.sandbox.user).count
            if mode == .root { #expect(count <= 66, "\(count)") }
            let restarted = try await box.call("bash", ["restart": true])
            #expect(!restarted.isError)
        }
    }

    @Test(arguments: Mode.possible) func survivesADiskFiller(mode: Mode) async throws {
        try await Self.limited(mode, { $0.memoryBytes = 256 << 20 }) { box in
            let filler = try await box.bash(
                "head -c 1G /dev/zero > /tmp/fill; cp /tmp/fill /home/agent/fill; cp /tmp/fill /dev/shm/fill", timeout: 60_000)
            #expect(
                filler.isError
                    && filler.text.contains("[disk limit: /tmp, /home/agent, /dev/shm are full. /tmp and the home folder hold 64 MiB each"),
                "\(filler.text)")
            #expect(try await box.sh("rm /tmp/fill /home/agent/fill /dev/shm/fill; echo x > /tmp/x && cat /tmp/x") == "x")
        }
    }

    /// Where no quota is kept the workspace is measured: the filler is killed, not left to fill the disk.
    @Test(arguments: Mode.possible) func survivesAWorkspaceFiller(mode: Mode) async throws {
        try await Self.limited(
            mode,
            {
                $0.diskBytes = 16 << 20
                $0.inodes = 3000
            }
        ) { box in
            let filler = try await box.bash("mkdir shut; head -c 64M /dev/zero > shut/fill; chmod 0 shut; sleep 600", timeout: 60_000)
            #expect(
                filler.isError && filler.text.contains("the workspace holds 64") && filler.text.contains("more than its limit of 16 MiB"),
                "\(filler.text)")
            #expect(!filler.timedOut)
            #expect(try await box.sh("chmod 700 shut; rm -r shut; ls; echo empty").hasSuffix("\nempty"))
            let files = try await box.bash("mkdir many; python3 -c 'for i in range(5000): open(f\"many/{i}\", \"w\")'; sleep 600", timeout: 60_000)
            #expect(files.text.contains("more files and folders than its limit of 3000"), "\(files.text)")
            _ = try await box.sh("rm -r many")
        }
    }

    @Test(arguments: Mode.possible) func survivesAnEndlessSleep(mode: Mode) async throws {
        try await Self.limited(mode, { $0.callTimeoutMilliseconds = 300 }) { box in
            // Asks for an hour, gets what the limit gives.
            let sleep = try await box.bash("trap '' TERM INT HUP; (setsid sleep 86400 &); sleep 86400", timeout: 3_600_000)
            #expect(sleep.timedOut && sleep.text.hasPrefix("bash: bash command timed out after 0.3s"), "\(sleep.text)")
            #expect(try await box.sh("pgrep -c sleep || true").hasSuffix("0"))
        }
    }

    @Test(arguments: Mode.possible) func survivesDeepTrees(mode: Mode) async throws {
        try await Self.limited(mode, { _ in }) { box in
            // Of processes, each the child of the one before, and of folders.
            let chain =
                "import os\nwhile True:\n  try:\n    if os.fork(): os.wait(); break\n  except OSError as e: print(e.strerror, flush=True); break\nos._exit(1)"
            let deep = try await box.bash("python3 -c \"\(chain)\"", timeout: 30_000)
            #expect(deep.text.contains("process limit"), "\(deep.text)")
            let script = "import os\nfor _ in range(400): os.mkdir('d'); os.chdir('d')\nprint('made')"
            #expect(try await box.bash("python3 -c \"\(script)\"", timeout: 60_000).text.contains("made"))
            _ = try await box.call("glob", ["pattern": "**/*"])
        }
    }

    /// 256 MiB to standard output; 10 GiB with POSTERN_FULL=1.
    @Test func survivesAnOutputFlood() async throws {
        let bytes = getenv("POSTERN_FULL") != nil ? 10 << 30 : 256 << 20
        try await Self.limited(Mode.possible[0], { $0.toolOutputBytes = 4 << 20 }) { box in
            let before = Processes.residentBytes
            let isPeakOfFlood = Processes.forgetPeak()
            let flood = try await box.bash("head -c \(bytes) /dev/zero", timeout: 3_600_000)
            #expect(flood.outputBytes > 0 && flood.text.utf8.count < 1 << 20)
            // This process is the worker's end. Where the kernel forgets no peak, what is left after the flood is all that can be told.
            let most = isPeakOfFlood ? Processes.peakBytes : Processes.residentBytes
            print("limits: flood of \(ByteText.of(bytes)): this process had \(ByteText.of(before)), its peak was \(ByteText.of(most))")
            #expect(most > 0 && most - before < 64 << 20)
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func boundsProcessorTime() async throws {
        try await Self.limited(.root, { $0.cpuPercent = 20 }) { box in
            guard case .kernel = box.sandbox.limitReport[.cpu] else { return }
            // A second of work takes five: the bound is the kernel's, so that the ratio is wide of what a busy machine does.
            let text = try await box.sh("time (timeout 10 bash -c 'for ((i = 0; i < 200000; i++)); do :; done') 2>&1")
            func seconds(_ name: String) -> Double {
                let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
                let parts = line.split { $0 == "\t" || $0 == "m" || $0 == "s" }.compactMap { Double($0) }
                return parts.count == 2 ? parts[0] * 60 + parts[1] : 0
            }
            #expect(seconds("real") >= 2.5 * seconds("user"), "\(text)")
        }
    }

    @Test(arguments: Mode.possible) func tellsWhoEnforcesWhat(mode: Mode) async throws {
        try await Self.limited(
            mode,
            {
                $0.diskBytes = 1 << 30
                $0.cpuPercent = 100
            }
        ) { box in
            let report = box.sandbox.limitReport
            for limit in [LimitReport.Limit.memory, .processes, .cpu, .disk, .freeze] { #expect(report[limit] != nil, "\(limit)") }
            print("limits: \(mode): \(report.json.text)")
        }
    }
}

extension Processes {
    /// The most that this process has had since `forgetPeak`, in bytes.
    static var peakBytes: Int { (field("VmHWM", of: getpid())?.split(separator: " ").first.flatMap { Int($0) } ?? 0) << 10 }

    /// Begins `peakBytes` anew; `false` where the kernel does not let.
    static func forgetPeak() -> Bool {
        let file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return write(file, "5", 1) == 1
    }

    /// Of this process, in bytes.
    static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
