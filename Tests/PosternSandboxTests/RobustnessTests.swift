import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct RobustnessTests {
    /// W5: a link swapped between check and use. Whatever the tools answer, nothing appears outside the roots.
    @Test(arguments: Mode.possible) func writesThroughNoSwappedLink(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh(
                "mkdir real /tmp/aim; (while :; do ln -sfn /tmp/aim d; rm -f d; mkdir d; rmdir d; ln -sfn real d; rm -f d; done) >/dev/null 2>&1 &")
            for number in 0..<1000 {
                let outcome = try await box.call("write", ["file_path": .string("d/f\(number)"), "content": "x"])
                if !outcome.isError { #expect(outcome.text == "wrote 1 bytes to d/f\(number)") }
            }
            #expect(try await box.sh("ls -A /tmp/aim | wc -l") == "0")
        }
    }

    /// W6: paths that never end.
    @Test(arguments: Mode.possible) func endsOnPathsWithoutEnd(mode: Mode) async throws {
        try await Box.with(mode, change: { spec, _ in (spec.limits.toolTimeoutMilliseconds, spec.limits.fileBytes) = (700, 1 << 45) }) {
            (box: Box) async throws in
            _ = try await box.sh(
                "mkfifo fifo; ln -s /dev/zero zero; truncate -s 1T sparse; mkdir -p deep; cd deep; for i in $(seq 300); do mkdir d; cd d; done 2>/dev/null; cd /workspace; ln -s . self; for i in $(seq 2000); do echo x > \"f$i\"; done"
            )
            for (tool, input) in [
                ("read", ["file_path": "fifo"]), ("read", ["file_path": "zero"]), ("read", ["file_path": "sparse"]),
                ("read", ["file_path": "sparse", "view_range": [1, 2]]), ("read", ["file_path": "sparse", "view_range": [5, 6]]),
                ("grep", ["pattern": "x", "path": "sparse"]), ("grep", ["pattern": "x", "path": "fifo"]),
                ("edit", ["file_path": "sparse", "old_string": "a", "new_string": "b"]),
                ("grep", ["pattern": "nothing at all"]), ("glob", ["pattern": "**/self/*/x"]),
            ] as [(String, JSON)] {
                let outcome = try await box.call(tool, input)
                #expect(outcome.duration < .seconds(4), "\(tool) \(input.text)")
            }
            let late = try await box.call("read", ["file_path": "sparse", "view_range": [5, 6]])
            #expect(late.text == "read: timed out after 0.7s" && late.timedOut && late.isError)
            #expect(try await box.sh("echo alive") == "alive")
        }
    }

    @Test func boundsProcesses() async throws {
        try await Box.with(change: { spec, _ in spec.limits.processes = 60 }) { (box: Box) async throws in
            let bomb = try await box.bash("b() { b | b & }; b 2>/dev/null; sleep 5", timeout: 1000)
            #expect(bomb.timedOut)
            // The next call works at once, and so do the file tools while a bomb is on.
            #expect(try await box.sh("echo alive").hasSuffix("\nalive"))
            _ = try await box.sh("for i in $(seq 80); do sleep 100 & done 2>/dev/null; true")
            #expect(try await box.call("write", ["file_path": "f", "content": "x"]).text == "wrote 1 bytes to f")
        }
    }

    @Test func boundsFiles() async throws {
        var limits = SandboxLimits()
        limits.fileBytes = 4 << 20
        limits.temporaryBytes = 1 << 20
        limits.openFiles = 64
        try await Box.with(change: { [limits] spec, _ in spec.limits = limits }) { (box: Box) async throws in
            #expect(try await box.sh("trap '' XFSZ; head -c 8000000 /dev/zero > big; stat -c %s big").hasSuffix("4194304"))
            #expect(try await box.sh("head -c 2000000 /dev/zero > /tmp/big").contains("No space left on device"))
            #expect(try await box.sh("head -c 2000000 /dev/zero > /dev/shm/big").contains("No space left on device"))
            #expect(try await box.call("write", ["file_path": "w", "content": .string(String(repeating: "x", count: 5_000_000))]).isError)
            #expect(try await box.sh("echo alive") == "alive")
        }
    }

    @Test func rereadsWhatWasKilledBesideTheShell() async throws {
        try await Box.with { (box: Box) async throws in
            _ = try await box.sh("echo x > f")
            async let slow = box.bash("sleep 100", timeout: 300)
            async let beside = box.call("grep", ["pattern": "y", "path": "f"])
            #expect(try await slow.timedOut)
            #expect(try await beside.text == "no matches")
        }
    }

    @Test func cancelsFileTools() async throws {
        try await Box.with(change: { spec, _ in spec.limits.fileBytes = 1 << 45 }) { (box: Box) async throws in
            _ = try await box.sh("truncate -s 900G sparse; kept=1")
            let task = Task { try await box.call("read", ["file_path": "sparse", "view_range": [5, 6]]) }
            while !Processes.ofUser(box.sandbox.user).contains(where: {
                Processes.command(of: $0).last == "sandbox" && Processes.command(of: Processes.parent(of: $0)).last == "sandbox"
                    && Processes.command(of: Processes.parent(of: $0)).count == 2
            }) { await Task.yield() }
            task.cancel()
            await #expect(throws: SandboxError.self) { try await task.value }
            // The shell is none the worse.
            #expect(try await box.sh("echo $kept") == "1")
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await box.bash("touch ran")
            }
            await #expect(throws: SandboxError.self) { try await early.value }
            #expect(try await box.call("glob", ["pattern": "ran"]).text == "no matches")
        }
    }

    @Test func runsManyCallsAtOnce() async throws {
        try await Box.with { (box: Box) async throws in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<40 {
                    group.addTask { try await box.call("write", ["file_path": .string("w\(number)"), "content": "x"]).isError == false }
                    group.addTask { try await box.bash("echo \(number)").text == "\(number)" }
                }
                for try await isGood in group { #expect(isGood) }
            }
        }
    }

    @Test func executesWithTheCallersDescriptors() async throws {
        try await Box.with { (box: Box) async throws in
            var pipes: [Int32] = [-1, -1]
            #expect(pipe(&pipes) == 0)
            let null = open("/dev/null", O_RDONLY)
            defer { close(null) }
            #expect(
                try await box.sandbox.execute(["sh", "-c", "echo out; echo err >&2; pwd; exit 7"], stdin: null, stdout: pipes[1], stderr: pipes[1])
                    == .exited(7))
            close(pipes[1])
            var buffer = [UInt8](repeating: 0, count: 100)
            let count = read(pipes[0], &buffer, buffer.count)
            close(pipes[0])
            #expect(String(decoding: buffer[..<max(0, count)], as: UTF8.self) == "out\nerr\n/workspace\n")
            #expect(try await box.sandbox.execute(["/bin/sh", "-c", "kill -9 $$"], stdin: null, stdout: null, stderr: null) == .signalled(9))
            #expect(try await box.sandbox.execute(["nothing-like-this"], stdin: null, stdout: null, stderr: null) == .exited(127))
        }
    }

    /// What is dialled inside is accepted outside, and only that.
    @Test(arguments: Mode.possible) func handsOutItsListener(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            let listener = box.sandbox.listener
            #expect(listener >= 0)
            #expect(accept(listener, nil, nil) < 0 && errno == EAGAIN)
            #expect(try await box.sh("exec 9<>/dev/tcp/127.0.0.1/3128 && echo hello from inside >&9 && echo sent") == "sent")
            let connection = accept(listener, nil, nil)
            #expect(connection >= 0)
            var buffer = [UInt8](repeating: 0, count: 100)
            let count = read(connection, &buffer, buffer.count)
            #expect(String(decoding: buffer[..<max(0, count)], as: UTF8.self) == "hello from inside\n")
            _ = "hello from outside\n".withCString { write(connection, $0, 19) }
            #expect(try await box.sh("read -r line <&9; echo $line") == "hello from outside")
            close(connection)
            // Nobody outside can dial it: it is of another network.
            let host = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = UInt16(AF_INET)
            address.sin_port = UInt16(3128).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(host, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
            #expect(result < 0)
            close(host)
        }
    }
}
