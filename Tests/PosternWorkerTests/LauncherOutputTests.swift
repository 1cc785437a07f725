import ManagedAgentsClient
import Testing

@testable import PosternWorker

@Suite struct LauncherOutputTests {
    private func lines(_ text: String, pieces: Int = 1) -> [String] {
        var output = OutputLines()
        var lines: [String] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieces) { lines += output.feed(bytes[start..<min(start + pieces, bytes.count)]) }
        return lines + output.finish()
    }

    @Test func linesHoweverTheyAreCut() {
        for pieces in [1, 2, 100] { #expect(lines("one\ntwo\r\n\nlast", pieces: pieces) == ["one", "two", "", "last"]) }
    }

    @Test(arguments: [
        ("\u{1B}[2Jx", #"\u{1b}[2Jx"#), ("a\rINFO forged", #"a\u{d}INFO forged"#), ("a\u{202E}b", #"a\u{202e}b"#), ("a\u{2028}b", #"a\u{2028}b"#),
        ("tab\tok", "tab ok"), ("grün 🌱", "grün 🌱"),
    ])
    func nothingSteersATerminalOrForgesALine(_ text: String, _ expected: String) {
        #expect(lines(text) == [expected])
    }

    @Test func brokenTextIsMended() {
        var output = OutputLines()
        #expect(output.feed([0xFF, 0x61, 0x0A]) == ["\u{FFFD}a"])
    }

    @Test func floodsAreBounded() {
        var output = OutputLines()
        #expect(output.feed(Array(repeating: 0x61, count: 1_000_000)).isEmpty)
        #expect(output.feed([0x0A]).first?.count == OutputLines.longest + 1)
        var count = 1
        for _ in 0..<30 { count += output.feed(Array(repeating: 0x0A, count: 1_000)).count }
        #expect(count == OutputLines.most && output.dropped == 30_001 - OutputLines.most)
    }

    @Test func theScriptsVariables() {
        var launcher = LauncherConfiguration(script: "/x", baseURL: "https://cp.example")
        launcher.environment = [
            "PATH": "/bin", "ANTHROPIC_API_KEY": "leak", "POSTERN_MODEL_KEY": "leak", "ANTHROPIC_WORK_SECRET": "stale", "BAD": "a\u{0}b",
        ]
        let item = WorkItem(id: "work_1", environmentID: "env_1", sessionID: "sesn_1", secret: Secret("own"), needsAck: true)
        func variables() -> [String] { LauncherEnvironment.variables(launcher, item, environmentKey: "env-key", mark: "m") }
        #expect(
            variables() == [
                "ANTHROPIC_BASE_URL=https://cp.example", "ANTHROPIC_ENVIRONMENT_ID=env_1", "ANTHROPIC_SESSION_ID=sesn_1", "ANTHROPIC_WORK_ID=work_1",
                "ANTHROPIC_WORK_SECRET=own", "PATH=/bin", "POSTERN_LAUNCH=m",
            ])
        launcher.environmentName = "production"
        #expect(variables().contains("POSTERN_ENVIRONMENT_NAME=production"))
        launcher.passesEnvironmentKey = true
        #expect(variables().contains("ANTHROPIC_ENVIRONMENT_KEY=env-key") && !variables().contains { $0.hasSuffix("leak") })
    }
}
