import PosternJSON
import PosternSandbox
import Testing

@Suite struct ShellTests {
    @Test(arguments: Mode.possible) func runsCommandsInOneShell(mode: Mode) async throws {
        try await Box.with(mode) { box in
            #expect(try await box.sh("echo hello; pwd; id -u") == "hello\n/workspace\n1000")
            #expect(try await box.sh("cd /tmp; x=5") == "(no output)")
            #expect(try await box.sh("echo $x $PWD") == "5 /tmp")
            let failed = try await box.bash("echo out; exit_with() { return 7; }; exit_with")
            #expect(failed.isError)
            #expect(failed.text == "out")
            #expect(failed.exitCode == 7)
        }
    }
}
