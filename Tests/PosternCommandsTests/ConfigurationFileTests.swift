import Testing

@testable import PosternCommands

@Suite struct ConfigurationFileTests {
    private func problems(_ text: String, _ section: ConfigurationKey.Section = .serve) -> [String] {
        do {
            _ = try ConfigurationFile(text, name: "p.yaml", section: section)
            return []
        } catch {
            return error.problems
        }
    }

    @Test func nestedNamesAreFlattened() throws {
        let file = try ConfigurationFile(
            "listen: 127.0.0.1:9000\nmodel:\n  provider: openai\n  base_url: http://127.0.0.1:1\n", name: "p.yaml", section: .serve)
        #expect(file.values["model.provider"] == .init(text: "openai", place: "p.yaml:3:13"))
        #expect(file.values["model.base_url"]?.text == "http://127.0.0.1:1")
        #expect(file.values["listen"]?.text == "127.0.0.1:9000")
    }

    @Test func jsonIsYAML() throws {
        let file = try ConfigurationFile(#"{"model": {"provider": "openai"}, "lease_seconds": 60}"#, name: "p.json", section: .serve)
        #expect(file.values["model.provider"]?.text == "openai")
        #expect(file.values["lease_seconds"]?.text == "60")
    }

    @Test(arguments: ["", "\n", "# nothing but a comment\n", "---\n"])
    func anEmptyFileIsFine(text: String) { #expect(problems(text) == []) }

    @Test(arguments: [
        ("listn: 127.0.0.1:1\n", "p.yaml:1:1: unknown key \"listn\"; did you mean \"listen\"?"),
        ("model:\n  provider: openai\n  base_ur: http://x\n", "p.yaml:3:3: unknown key \"model.base_ur\"; did you mean \"model.base_url\"?"),
        ("zebra: 1\n", "p.yaml:1:1: unknown key \"zebra\""),
        ("lease_seconds: soon\n", "p.yaml:1:16: \"lease_seconds\" must be a whole number from 5 to 3600"),
        ("lease_seconds: \"60\"\n", "p.yaml:1:16: \"lease_seconds\" must be a number without quotes"),
        ("data: 12\n", "p.yaml:1:7: \"data\" must be text; put it in quotes"),
        ("data: [a]\n", "p.yaml:1:7: \"data\" must be a single value, not a list"),
        ("data:\n  a: b\n", "p.yaml:2:3: \"data\" must be a single value, not a mapping"),
        ("data:\n", "p.yaml:1:6: \"data\" must be a single value, not nothing"),
        ("model: openai\n", "p.yaml:1:8: \"model\" must be a mapping of names to values"),
        ("- listen\n", "p.yaml:1:1: the file must be a mapping of names to values"),
        (
            "model:\n  api_key: sk-1\n",
            "p.yaml:2:12: \"model.api_key\" is a secret and does not belong into this file: set POSTERN_MODEL_API_KEY, or name a file with model.api_key_file"
        ),
        ("admin_key: k\n", "p.yaml:1:12: \"admin_key\" is a secret and does not belong into this file: set POSTERN_ADMIN_KEY"),
    ])
    func problemsHaveLineAndColumn(text: String, message: String) { #expect(problems(text) == [message]) }

    @Test func aWorkersKeyIsUnknownToTheServer() { #expect(problems("max_sessions: 4") == ["p.yaml:1:1: unknown key \"max_sessions\""]) }

    @Test func allProblemsAreReported() { #expect(problems("a: 1\nb: 2\nlisten: 3\n").count == 3) }

    @Test func brokenYAMLAndRepeatedKeysNameTheirLine() {
        #expect(problems("listen: [\n").first?.hasPrefix("p.yaml: ") == true)
        let repeated = problems("data: a\ndata: b\n").first ?? ""
        #expect(repeated.contains("data") && repeated.contains("p.yaml"))
    }
}
