import ArgumentParser
import PosternJSON
import Testing

@testable import PosternCommands

@Suite struct ParsingTests {
    @Test(arguments: ["--environment-key", "--environment-key=ek_secret", "--work-secret", "--admin-key", "--model-api-key=sk_secret", "--api-key"])
    func keysAsArgumentsAreRefusedWithTheRemedy(argument: String) throws {
        let refusal = try #require(SecretArgument.refusal(["worker", "poll", argument, "value"]))
        #expect(refusal.contains("refused"))
        #expect(refusal.contains("set ") || refusal.contains("Set "))
        #expect(!refusal.contains("secret_") && !refusal.contains("ek_secret") && !refusal.contains("sk_secret"))
    }

    @Test func theFileFlagIsNoKeyAndACommandsOwnArgumentsAreItsOwn() {
        #expect(SecretArgument.refusal(["worker", "poll", "--environment-key-file", "f"]) == nil)
        #expect(SecretArgument.refusal(["sandbox", "run", "--", "prog", "--api-key", "x"]) == nil)
    }

    @Test(arguments: [
        ["agents", "create", "--name", "a", "--model", "m"], ["agents", "list", "--json"], ["agents", "archive", "agent_1"],
        ["environments", "keys", "create", "env_1"], ["environments", "delete", "env_1"], ["keys", "create", "--role", "viewer"],
        ["sessions", "run", "--agent", "a", "--environment", "e", "hello", "world"], ["sessions", "run", "--session", "s", "hi"],
        ["sessions", "attach", "s", "--follow"], ["sessions", "send", "s", "--deny", "sevt_1", "no"], ["docs", "configuration"],
        ["mcp", "probe", "https://x/mcp", "--timeout", "5m"], ["mcp", "tools", "--stdio", "--", "server", "--flag"],
        ["mcp", "call", "https://x/mcp", "tool", "{}", "--revision", "2025-06-18"], ["mcp", "call", "--stdio", "tool", "{}", "--", "server"],
        ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--via", "splice"],
        [
            "mcp", "probe", "https://x/mcp", "--oauth-issuer", "https://a", "--oauth-client-id", "i", "--oauth-client-secret-file", "f",
            "--oauth-scope", "s",
        ],
        ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--edge", "[::1]:8443"],
        ["mcp", "bridge", "https://x/mcp", "--certificate", "c"],
    ])
    func commandsParse(arguments: [String]) throws { _ = try PosternCommand.parseAsRoot(arguments) }

    @Test(arguments: [
        ["agents", "creat"], ["keys", "create", "--role", "owner"], ["sessions", "run"], ["sessions", "run", "--session", "s", "--agent", "a", "x"],
        ["sessions", "send", "s"], ["sessions", "send", "s", "--interrupt", "--allow", "x"], ["agents", "list", "--limit", "0"],
        ["serve", "--lisen", "x"], ["mcp", "tools", "--stdio"], ["mcp", "tools", "https://x/mcp", "--", "server"],
        ["mcp", "probe", "https://x/mcp", "--revision", "2024-11-05"], ["mcp", "probe", "https://x/mcp", "--client-cert", "c"],
        ["mcp", "probe", "https://x/mcp", "--oauth-client-id", "i", "--oauth-client-secret-file", "f"],
        ["mcp", "probe", "https://x/mcp", "--oauth-issuer", "https://a", "--oauth-client-id", "i"],
        ["mcp", "tools", "https://x/mcp", "--oauth-scope", "s"],
        [
            "mcp", "probe", "https://x/mcp", "--oauth-issuer", "https://a", "--oauth-client-id", "i", "--oauth-client-secret-file", "f",
            "--oauth-client-key-file", "f",
        ],
        ["mcp", "tools", "--stdio", "--bearer-file", "f", "--", "server"], ["mcp", "probe", "https://x/mcp", "--timeout", "0"],
        ["mcp", "tools", "https://x/mcp", "--via", "splice"], ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--via", "none"],
        ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--ca-file", "a"],
        ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--edge", "a/b"],
        ["mcp", "tools", "https://x/mcp", "--certificate", "c", "--via", "splice", "--api-key-file", "k"],
        ["mcp", "bridge"], ["mcp", "bridge", "https://x/mcp", "--json"], ["mcp", "bridge", "https://x/mcp", "--stdio", "--", "server"],
    ])
    func wrongCommandsDoNot(arguments: [String]) {
        #expect(throws: (any Error).self) { try PosternCommand.parseAsRoot(arguments) }
    }

    @Test func wrongArgumentsExitWithTheDocumentedStatus() {
        do {
            _ = try PosternCommand.parseAsRoot(["agents", "creat"])
            Issue.record("accepted")
        } catch {
            #expect(PosternCommand.exitCode(for: error).rawValue == CommandStatus.usage.rawValue)
        }
    }

    @Test func aResourceFileKeepsTypesAndOrder() throws {
        let body = try ResourceFile.body(
            parsing:
                "name: helper\nmodel: {id: m, speed: fast}\ntools: [{type: agent_toolset_20260401}]\nsystem: |\n  two\n  lines\nversion: 3\nquoted: '3'\non: true\nnone: null\n",
            name: "f")
        let expected: JSON = [
            "name": "helper", "model": ["id": "m", "speed": "fast"], "tools": [["type": "agent_toolset_20260401"]], "system": "two\nlines\n",
            "version": 3,
            "quoted": "3", "on": true, "none": .null,
        ]
        #expect(JSON.object(body) == expected)
        #expect(throws: CommandError.self) { try ResourceFile.body(parsing: "- a", name: "f") }
        #expect(throws: CommandError.self) { try ResourceFile.body(parsing: "a: [", name: "f") }
    }

    @Test func everyKeyIsInTheReference() {
        let page = ConfigurationReference.page
        for key in ConfigurationKey.all { #expect(page.contains("`\(key.variable)`"), "\(key.name)") }
        for status in CommandStatus.allCases { #expect(page.contains("| \(status.rawValue) |")) }
    }
}
