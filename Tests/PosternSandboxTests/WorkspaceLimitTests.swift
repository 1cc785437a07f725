import PosternJSON
import PosternSandboxWire
import Testing

@testable import PosternSandbox

/// Attacks on the soft limit of a workspace, which is measured: files that no walk finds, programs that outlive their call, no process left to
/// measure with. As root and as an ordinary user.
@Suite(.serialized) struct WorkspaceLimitTests {
    private static let limit = 16 << 20

    private static func limited(_ mode: Mode, _ change: (inout SandboxLimits) -> Void = { _ in }, _ body: (Box) async throws -> Void) async throws {
        var limits = SandboxLimits()
        limits.diskBytes = limit
        limits.memoryBytes = 1 << 30
        change(&limits)
        try await Box.with(mode, change: { spec, _ in spec.limits = limits }) { (box: Box) async throws in
            try await body(box)
            #expect(try await box.sh("rm -rf ./*; echo still here").hasSuffix("still here"))
        }
    }

    /// Has Python run `program` in the background of a call that ends at once, and waits until it has been there and is gone.
    private static func runsAndIsKilled(_ box: Box, _ mode: Mode, _ name: String, _ program: String) async throws {
        let mark = "\(name)-\(mode)-\(box.sandbox.user)"
        #expect(try await box.call("write", ["file_path": "program.py", "content": .string(program)]).isError == false)
        #expect(try await box.sh("(setsid python3 program.py \(mark) >said 2>&1 &); echo started") == "started")
        func isThere() -> Bool { Processes.ofUser(box.sandbox.user).contains { Processes.command(of: $0).contains(mark) } }
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(60)
        var hasBeen = false
        while clock.now < deadline {
            let isThere = isThere()
            hasBeen = hasBeen || isThere
            if hasBeen, !isThere { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(hasBeen, "\(name) was never seen")
        if isThere() {
            Issue.record("\(name) was not killed: \(try await box.sh("cat said; ls -l; df ."))")
        }
    }

    @Test(arguments: Mode.possible) func stopsAWriterThatOutlivesItsCall(mode: Mode) async throws {
        try await Self.limited(mode) { box in
            let program = """
                import time
                # The measuring has come to rest by then.
                time.sleep(4)
                for i in range(20):
                    open(f"fill-{i}", "wb").write(bytes(4 << 20))
                    time.sleep(0.1)
                time.sleep(600)
                """
            try await Self.runsAndIsKilled(box, mode, "writer", program)
            let next = try await box.bash("echo next")
            #expect(next.text.contains("[disk limit: the workspace holds ") && next.text.contains("more than its limit of 16 MiB"), "\(next.text)")
            #expect(next.text.contains("everything that still ran was killed") && next.text.hasSuffix("\nnext"), "\(next.text)")
            #expect(next.text.contains("[new shell: "), "\(next.text)")
            // Told once.
            #expect(try await box.sh("echo again") == "again")
        }
    }

    @Test(arguments: Mode.possible) func countsDeletedFilesThatAreStillOpen(mode: Mode) async throws {
        let program = """
            import os, time
            files = []
            for i in range(8):
                files.append(open(f"gone-{i}", "wb"))
                os.unlink(f"gone-{i}")
                files[-1].write(bytes(4 << 20))
                files[-1].flush()
            time.sleep(600)
            """
        try await Self.limited(mode) { box in
            try await Self.runsAndIsKilled(box, mode, "deleter", program)
            let next = try await box.bash("ls gone-*; echo next")
            #expect(next.text.contains("(32 MiB of it in deleted files that are still open), more than its limit of 16 MiB"), "\(next.text)")
            // In a call that runs on.
            _ = try await box.call("write", ["file_path": "program.py", "content": .string(program)])
            let call = try await box.bash("python3 program.py", timeout: 60_000)
            #expect(call.isError && !call.timedOut && call.text.contains("in deleted files that are still open"), "\(call.text)")
        }
    }

    /// They come and go between two looks, beside a shell that does nothing.
    @Test(arguments: Mode.possible) func countsWhatFileToolsWrite(mode: Mode) async throws {
        try await Self.limited(mode) { box in
            _ = try await box.sh("echo warm")
            // The measuring has come to rest by then.
            try await Task.sleep(for: .seconds(5))
            let content = JSON.string(String(repeating: "x", count: 1 << 19))
            for number in 0..<64 { _ = try await box.call("write", ["file_path": .string("written-\(number)"), "content": content]) }
            // Seen about a second later.
            try await Task.sleep(for: .seconds(3))
            let next = try await box.bash("echo next")
            #expect(next.text.contains("[disk limit: the workspace holds ") && next.text.contains("more than its limit of 16 MiB"), "\(next.text)")
        }
    }

    /// An idle shell is ended too if that is what gives the space back.
    @Test(arguments: Mode.possible) func countsWhatTheShellItselfKeepsOpen(mode: Mode) async throws {
        try await Self.limited(mode) { box in
            _ = try await box.sh("exec 7>gone; rm gone; head -c 32M /dev/zero >&7")
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(60)
            var text = ""
            while !text.contains("in deleted files that are still open"), clock.now < deadline {
                try await Task.sleep(for: .milliseconds(100))
                text = try await box.sh("true")
            }
            #expect(text.contains("(32 MiB of it in deleted files that are still open)"), "\(text)")
            #expect(try await box.sh("{ echo x >&7; } 2>/dev/null || echo gone") == "gone")
        }
    }

    /// What cannot be measured is held against what the file system has lost.
    @Test(arguments: Mode.possible, ["mapping", "socket", "undumpable"]) func findsWhatItCannotMeasure(mode: Mode, way: String) async throws {
        let program = """
            import ctypes, mmap, os, socket, sys, time
            # Measured once before, so that there is something to compare with.
            time.sleep(3)
            file = os.open("gone", os.O_RDWR | os.O_CREAT)
            os.unlink("gone")
            kept = []
            def keep():
                if WAY == "mapping":
                    kept.append(mmap.mmap(file, 4096))
                    os.close(file)
                elif WAY == "socket":
                    kept.extend(socket.socketpair())
                    socket.send_fds(kept[0], [b"x"], [file])
                    os.close(file)
                else:
                    ctypes.CDLL(None).prctl(4, 0)
            if WAY == "mapping": os.ftruncate(file, 4096)
            other = os.dup(file) if WAY == "undumpable" else os.open(f"/proc/self/fd/{file}", os.O_RDWR)
            keep()
            for i in range(64):
                os.write(other, bytes(4 << 20))
            if WAY != "undumpable": os.close(other)
            time.sleep(600)
            """
        try await Self.limited(mode) { box in
            try await Self.runsAndIsKilled(box, mode, way, "WAY = '\(way)'\n" + program)
            let next = try await box.bash("echo next")
            #expect(next.text.contains("[disk limit: ") && next.text.hasSuffix("\nnext"), "\(next.text)")
        }
    }

    /// A program that does not let itself be looked at and writes nothing is no reason to end it.
    @Test(arguments: Mode.possible) func leavesHonestProgramsAlone(mode: Mode) async throws {
        try await Self.limited(mode, { $0.diskBytes = 8 << 30 }) { box in
            _ = try await box.sh(
                "(setsid python3 -c 'import ctypes, time; ctypes.CDLL(None).prctl(4, 0); print(1, flush=True); time.sleep(600)' >ready 2>&1 &)")
            let text = try await box.sh(
                "until grep -q 1 ready; do sleep 0.05; done; sleep 3; head -c 20M /dev/zero > some; sleep 3; pgrep -fc 'sleep.600'")
            #expect(text.hasSuffix("1"), "\(text)")
            #expect(try await box.sh("pgrep -fc 'sleep.600'") == "1")
        }
    }

    @Test(arguments: Mode.possible) func measuresWithNoProcessToBeHad(mode: Mode) async throws {
        let program = """
            import os, time
            try:
                while True:
                    if os.fork() == 0:
                        time.sleep(600)
                        os._exit(0)
            except OSError:
                print("refused", flush=True)
            for i in range(20):
                open(f"fill-{i}", "wb").write(bytes(4 << 20))
                time.sleep(0.1)
            time.sleep(600)
            """
        try await Self.limited(mode, { $0.processes = 32 }) { box in
            _ = try await box.call("write", ["file_path": "program.py", "content": .string(program)])
            let call = try await box.bash("exec python3 program.py", timeout: 60_000)
            #expect(call.text.contains("refused"), "\(call.text)")
            #expect(call.isError && !call.timedOut && call.text.contains("more than its limit of 16 MiB"), "\(call.text)")
        }
    }

    /// The folder of long outputs is the session's as well: what goes beyond its own bound counts as the workspace's.
    @Test(arguments: Mode.possible) func countsTheFolderOfToolOutputs(mode: Mode) async throws {
        try await Self.limited(mode, { $0.toolOutputBytes = 1 << 20 }) { box in
            let call = try await box.bash("head -c 32M /dev/zero > /mnt/session/tool_outputs/fill; sleep 600", timeout: 60_000)
            #expect(call.isError && !call.timedOut && call.text.contains("more than its limit of 16 MiB"), "\(call.text)")
            _ = try await box.sh("rm /mnt/session/tool_outputs/fill")
        }
    }

    /// Measuring needs a descriptor for each level of folders; the bound on open files is for what the session starts.
    @Test(arguments: Mode.possible) func measuresDeepTreesWithFewOpenFiles(mode: Mode) async throws {
        try await Self.limited(mode, { $0.openFiles = 64 }) { box in
            let script = "import os\nfor _ in range(300): os.mkdir('d'); os.chdir('d')\nopen('fill', 'wb').write(bytes(32 << 20))"
            #expect(try await box.sh("ulimit -n") == "64")
            let call = try await box.bash("python3 -c \"\(script)\"; sleep 600", timeout: 60_000)
            #expect(call.isError && !call.timedOut && call.text.contains("the workspace holds 3"), "\(call.text)")
        }
    }
}
