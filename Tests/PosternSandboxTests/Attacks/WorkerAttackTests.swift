import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

/// The attacks on what works for an agent outside its own commands: file tools, output, ends of calls and sessions. Numbers are those of
/// docs/threats/tools.md, which says where the others of the list are attacked.
@Suite struct WorkerAttackTests {
    /// W1, W2: links to a file and a folder of the host. W4: variables of whoever serves the tools.
    @Test(arguments: Mode.possible) func readsNothingOfTheHost(mode: Mode) async throws {
        let host = try HostAims()
        defer { host.remove() }
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh(
                "ln -s \(host.secret) link; ln -s \(host.folder) folder; ln -s / root; ln -s /proc/self/environ environ; ln -s /proc/1/root host; mkdir d; ln -s ../folder d/up"
            )
            for path in [
                "link", "folder/secret", "root\(host.secret)", host.secret, "d/up/secret", "../../../../..\(host.secret)", "host\(host.secret)",
                "/proc/1/root\(host.secret)", "/proc/self/root\(host.secret)", "/proc/self/cwd/link",
            ] {
                for (tool, input) in [
                    ("read", ["file_path": .string(path)]), ("grep", ["pattern": "SECRET", "path": .string(path)]),
                    ("glob", ["pattern": "*", "path": .string(path)]),
                    ("edit", ["file_path": .string(path), "old_string": "TOP", "new_string": "x"]),
                ] as [(String, JSON)] {
                    let outcome = try await box.call(tool, input)
                    #expect(!outcome.text.contains("TOP SECRET") && !outcome.text.contains("wrote"), "\(tool) \(path): \(outcome.text)")
                }
            }
            for pattern in ["folder/*", "**/secret", "root/tmp/**/secret", "/var/tmp/*", "\(host.folder)/*"] {
                #expect(try await !box.call("glob", ["pattern": .string(pattern)]).text.contains("secret"), "\(pattern)")
            }
            for path in ["environ", "/proc/self/environ", "/proc/1/environ", "/proc/1/cmdline"] {
                let text = try await box.call("read", ["file_path": .string(path)]).text
                #expect(!text.contains("ANTHROPIC") && !text.contains("POSTERN_"), "\(path): \(text)")
            }
            #expect(host.isUntouched)
        }
    }

    /// W3: writes through links to the host.
    @Test(arguments: Mode.possible) func writesNothingOfTheHost(mode: Mode) async throws {
        let host = try HostAims()
        defer { host.remove() }
        try await Box.with(mode) { (box: Box) async throws in
            _ = try await box.sh("ln -s \(host.folder)/new link; ln -s \(host.folder) folder; ln -s \(host.secret) secret; ln -s / root")
            for path in [
                "link", "folder/new", "folder/sub/new", "secret", "root\(host.folder)/new", "\(host.folder)/new", "../../..\(host.folder)/new",
                "/proc/self/root\(host.folder)/new", "/proc/1/root\(host.folder)/new", "/usr/local/bin/new", "/etc/new",
                "/proc/sys/kernel/core_pattern",
            ] {
                _ = try await box.call("write", ["file_path": .string(path), "content": "x"])
                _ = try await box.call("edit", ["file_path": .string(path), "old_string": "TOP", "new_string": "x"])
            }
            #expect(host.isUntouched)
        }
    }

    /// W7: names and output that would say something to a terminal or to a reader of lines come back as one value of JSON each, whole.
    @Test(arguments: Mode.possible) func namesAndOutputStayData(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            let name = "a\nb\u{1B}]52;c;YQ==\u{7}"
            #expect(try await box.call("write", ["file_path": .string(name), "content": "x"]).isError == false)
            #expect(try await box.sh("ls | wc -c") == "\(name.utf8.count + 1)")
            let outcome = try await box.bash("printf 'one\\033]52;c;YQ==\\007two\\r\\n'; cat -- a*")
            #expect(!outcome.isError && outcome.text.contains("one") && outcome.text.contains("two"))
            // A status that a command prints is not the shell's own.
            #expect(try await box.bash("printf '0\\0'; printf '0\\0' >&0; (exit 3)").exitCode == 3)
        }
    }

    /// W9, W10: what is left of a call and of a session.
    @Test(arguments: Mode.possible) func nothingOutlivesItsCallOrSession(mode: Mode) async throws {
        let spawner = try await Spawners.of(mode)
        let scratch = try Scratch(mode)
        let sandbox = try await BubblewrapDriver(spawner: spawner).start(scratch.spec)
        func bash(_ command: String, timeout: Int) async throws -> ToolOutcome {
            try await sandbox.call(
                ToolInvocation(id: "w9", name: "bash", input: ["command": .string(command), "timeout_ms": JSON(timeout)]))
        }
        func sleepers() -> Int { Processes.all().count { Processes.command(of: $0) == ["sleep", "\(mode.seconds(64_321))"] } }
        let clock = ContinuousClock()
        let start = clock.now
        let stubborn = try await bash(
            "trap '' TERM HUP INT; (trap '' TERM; setsid sleep \(mode.seconds(64_321)) &) ; sleep \(mode.seconds(64_321))", timeout: 300)
        #expect(stubborn.timedOut && clock.now - start < .seconds(5))
        #expect(sleepers() == 0)
        #expect(
            try await bash("(setsid sh -c 'trap \"\" TERM; sleep \(mode.seconds(64_321)) & wait' >/dev/null 2>&1 &) ; echo up", timeout: 5000).text
                .hasSuffix("up"))
        await sandbox.stop()
        #expect(sleepers() == 0)
        await scratch.remove(spawner)
    }

    /// W11, W12, W20: 24 hostile archives, each unpacked in three ways by unpackers without care.
    @Test(arguments: Mode.possible) func containsArchives(mode: Mode) async throws {
        let host = try HostAims()
        defer { host.remove() }
        try await Box.with(mode) { (box: Box) async throws in
            let program = AttackScripts.file(Processes.text(AttackScripts.folder + "/archives.py") ?? "")
            let output = AttackScripts.file()
            defer { for file in [program, output] { close(file) } }
            let status = try await box.sandbox.execute(
                ["/usr/bin/python3", "-I", "-", host.folder], stdin: program, stdout: output, stderr: output)
            #expect(status == .exited(0))
            #expect(AttackScripts.contents(output) == "24 []\n")
            #expect(host.isUntouched)
            // The next session, or whoever serves this one's files, finds nothing set-id and no device either.
            #expect(try await box.sh("find /workspace /tmp /home -xdev \\( -perm /6000 -type f -o -type b -o -type c \\) | wc -l") == "0")
            for path in ["/usr/local/bin/t17", "/etc/ld.so.preload"] { #expect(access(path, F_OK) != 0) }
        }
    }
}
