import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct ShellTests {
    @Test(arguments: Mode.possible) func runsCommandsInOneShell(mode: Mode) async throws {
        try await Box.with(mode) { (box: Box) async throws in
            #expect(try await box.sh("echo hello; pwd; id -u; whoami") == "hello\n/workspace\n1000\nagent")
            #expect(try await box.sh("cd /tmp; x=5; declare -A m; m[a]=1; f() { echo in f; }") == "(no output)")
            #expect(try await box.sh("echo $x $PWD ${m[a]}; f") == "5 /tmp 1\nin f")
            let failed = try await box.bash("echo out; g() { return 7; }; g")
            #expect(failed.isError)
            #expect(failed.text == "out")
            #expect(failed.exitCode == 7)
            #expect(try await box.bash("false").text == "(no output)")
        }
    }

    @Test(arguments: [
        ("printf 'a\\n\\n\\n'", "a"),
        ("printf '\\n\\nb\\n'", "\n\nb"),
        ("printf '\\e[1;31mred\\e[0m plain \\e[K'", "red plain "),
        ("printf '\\e]0;title'", "\u{1B}]0;title"),
        ("printf 'x\\xff\\xfey'", "x\u{FFFD}\u{FFFD}y"),
        ("printf '\\xe2\\x82'; sleep 0.01; printf '\\xac'", "€"),
        ("echo err >&2", "err"),
        ("cat; echo end", "end"),
        ("echo 'it'\\''s' \"q\" `echo b`", "it's q b"),
        ("printf '%d\\0' 0; echo x", "0\u{0}x"),
        ("echo \"[$PS1][$PS2][$TERM]\"", "[][][dumb]"),
        ("for i in 1 2; do echo $i; done\ncat <<E\nhere\nE", "1\n2\nhere"),
    ]) func showsOutput(command: String, text: String) async throws {
        try await Box.with { (box: Box) async throws in
            let outcome = try await box.bash(command)
            #expect(outcome.text == text)
            #expect(!outcome.isError)
        }
    }

    @Test func survivesWhatEndsOtherShells() async throws {
        try await Box.with { (box: Box) async throws in
            _ = try await box.sh("kept=1")
            let syntax = try await box.bash("if then")
            #expect(syntax.isError && syntax.text.contains("syntax error"))
            for command in ["break", "continue", "return 3", "exec </dev/null", "exec 0<&-"] { _ = try await box.bash(command) }
            #expect(try await box.sh("echo $kept") == "1")
        }
    }

    @Test func startsAFreshShellAfterExit() async throws {
        try await Box.with { (box: Box) async throws in
            let exit = try await box.bash("cd /tmp; lost=1; echo bye; exit 3")
            #expect(exit.isError && exit.text == "bye" && exit.exitCode == 3)
            let next = try await box.sh("echo [$lost] $PWD")
            #expect(
                next
                    == "[new shell: the last shell exited with status 3; working directory, variables and jobs of the old one are gone]\n[] /workspace"
            )
            #expect(try await box.sh("echo again") == "again")
            #expect(try await box.bash("kill -9 $$").exitCode == 137)
            #expect(try await box.sh("echo again").hasPrefix("[new shell: the last shell was ended by signal 9;"))
            let replaced = try await box.bash("exec sh -c 'echo replaced; exit 4'")
            #expect(replaced.text == "replaced" && replaced.exitCode == 4)
        }
    }

    @Test func killsEverythingAtATimeOut() async throws {
        try await Box.with { (box: Box) async throws in
            let timed = try await box.bash("trap '' TERM; echo before; (setsid sh -c 'sleep 1000 & sleep 1001' &) ; sleep 1002", timeout: 300)
            #expect(timed.isError && timed.timedOut)
            #expect(timed.text == "bash: bash command timed out after 0.3s\nbefore")
            let next = try await box.sh("for f in /proc/[0-9]*/comm; do read -r name < $f; echo $name; done | sort | uniq -c | tr -s ' '")
            #expect(next.hasPrefix("[new shell: the last command timed out and was killed with all its children;"))
            #expect(!next.contains("sleep"))
            #expect(try await box.bash("sleep 9", timeout: 100).text == "bash: bash command timed out after 0.1s")
        }
    }

    @Test func doesNotWaitForBackgroundJobs() async throws {
        try await Box.with { (box: Box) async throws in
            let outcome = try await box.bash("sleep 1000 & echo started")
            #expect(outcome.text == "started")
            #expect(outcome.duration < .seconds(5))
            #expect(try await box.sh("jobs -r | wc -l") == "1")
            #expect(try await box.bash("mkfifo out; yes | tee out & head -n 2 out >/dev/null; kill %2; wait %2").text.contains("y\ny\n"))
            #expect(try await box.call("bash", ["restart": true]).text == "bash session restarted")
            #expect(try await box.sh("jobs -r | wc -l; for f in /proc/[0-9]*/comm; do cat $f; done | grep -c sleep") == "0\n0")
        }
    }

    @Test(
        arguments: [
            (JSON.object([:]), "bash: command is required"),
            (["command": 3], "bash: command must be a string, it is a number"),
            (["command": "x", "timeout_ms": "1"], "bash: timeout_ms must be a whole number, it is a string"),
            (["command": "x", "timeout_ms": -1], "bash: timeout_ms must be a whole number from 0 to 3600000"),
            (["command": "x", "timeout_ms": 1.5], "bash: timeout_ms must be a whole number from 0 to 3600000"),
            (["command": "x", "restart": "yes"], "bash: restart must be true or false, it is a string"),
            (["command": "a\u{0}b"], "bash: command must not contain a NUL character"),
            (["command": "x", "cwd": "/"], "bash: unknown argument 'cwd'; bash takes command, restart, timeout_ms"),
            ("text", "bash: the input must be an object, it is a string"),
        ] as [(JSON, String)]) func refusesWrongArguments(input: JSON, text: String) async throws
    {
        try await Box.with { (box: Box) async throws in
            let outcome = try await box.call("bash", input)
            #expect(outcome.isError)
            #expect(outcome.text == text)
        }
    }

    @Test func killsACancelledCommand() async throws {
        try await Box.with { (box: Box) async throws in
            _ = try await box.sh("echo warm")
            let task = Task { try await box.bash("touch started; sleep 1000") }
            while try await box.call("glob", ["pattern": "started"]).text == "no matches" {}
            task.cancel()
            await #expect(throws: SandboxError.self) { try await task.value }
            let next = try await box.sh("for f in /proc/[0-9]*/comm; do cat $f; done | grep -c sleep")
            #expect(next.hasPrefix("[new shell: the last command was cancelled;") && next.hasSuffix("\n0"))
        }
    }

    /// A command that waits for the shell has its turn however the one before ended.
    @Test(arguments: ["time-out", "cancellation", "restart"]) func goesOnWithTheNextCommand(end: String) async throws {
        try await Box.with { (box: Box) async throws in
            let first = Task { try await box.bash("touch started; sleep 1000", timeout: end == "time-out" ? 500 : nil) }
            while try await box.call("glob", ["pattern": "started"]).text == "no matches" {}
            async let next = box.sh("echo next")
            // Likely behind the waiting command by then; where it is not, there is nothing to see.
            for _ in 0..<3 { _ = try await box.call("glob", ["pattern": "started"]) }
            if end == "cancellation" { first.cancel() }
            if end == "restart" { _ = try await box.call("bash", ["restart": true]) }
            _ = try? await first.value
            #expect(try await next.hasSuffix("next"))
        }
    }

    @Test func passesTheEnvironmentAndNothingElse() async throws {
        try await Box.with(change: { spec, _ in spec.environment = [("GREETING", "hello there"), ("PS1", "x")] }) { (box: Box) async throws in
            #expect(try await box.sh("echo $GREETING") == "hello there")
            let names = try await box.sh("env | cut -d= -f1 | sort | tr '\\n' ' '")
            // Bash drops PS1 and PS2 itself when it is not interactive.
            #expect(names == "GREETING HOME LANG LOGNAME PATH PWD SHELL SHLVL TERM TMPDIR USER _ ")
        }
        for name in ["ANTHROPIC_API_KEY", "anthropic_x", "POSTERN_TOKEN", "A=B", "", "1A", "LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "SHELLOPTS", "IFS"] {
            await #expect(throws: SandboxError.self) {
                try await Box.with(change: { spec, _ in spec.environment = [(name, "x")] }) { _ in }
            }
        }
    }
}
