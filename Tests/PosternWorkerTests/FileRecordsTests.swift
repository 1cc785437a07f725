import PosternAudit
import PosternJSON
import PosternPolicy
import PosternSandbox
@testable import PosternWorker
import Testing

/// A refused file is recorded with the rule that refused it, whatever the model wrote, and nothing else is.
@Suite struct FileRecordsTests {
    private let fixture = Fixture()

    private func records() throws -> FileRecords {
        let files = FileRules(hidden: [try PosternPolicy.PathGlob("**/.env")], protected: [try PosternPolicy.PathGlob(".git/**")])
        var policy = Policy()
        policy.files = files
        let rules = LiveRules()
        rules.set(SessionPolicy(ceiling: policy))
        let folder = fixture.folder
        return FileRecords(
            rules: rules, denials: MandatoryDenials(),
            audit: try AuditLog(path: "\(folder)/audit.jsonl", key: AuditKey(bytes: Array(repeating: 7, count: 32))), sessionID: "sesn_1",
            workID: "work_1", outputs: folder, timestamp: { "2026-01-01T00:00:00Z" })
    }

    private static func call(_ tool: String, _ input: JSON) -> ToolCall { ToolCall(id: "sevt_1", kind: .tool, name: tool, input: input) }

    @Test func theRuleIsNamed() throws {
        let records = try self.records()
        for (tool, path, text, rule) in [
            ("read", "a/.env", "read: a/.env: permission denied", "files.hidden[0]"),
            ("read", "/workspace/./b/../.env", "read: permission denied", "files.hidden[0]"),
            ("write", ".git/config", "write: .git/config: read-only file system", "files.protected[0]"),
            ("edit", ".git/hooks/x", "edit: .git/hooks/x: read-only file system", "files.protected[0]"),
            ("read", "/etc/shadow", "read: path '/etc/shadow' is outside the session's working directory and its other", "tool_roots"),
            ("read", "link", "read: link: permission denied", "kernel"), ("read", ".git/config", "read: .git/config: permission denied", "kernel"),
            ("read", "../../etc/passwd", "read: path is outside the session's working directory and", "tool_roots"),
        ] {
            let refusal = records.refusal(of: Self.call(tool, ["file_path": .string(path)]), saying: text)
            #expect(refusal?.rule == rule && refusal?.path == path && refusal?.isAllowed == false, "\(tool) \(path)")
            #expect(refusal?.operation == (tool == "read" ? "read" : "write"))
        }
    }

    @Test func whatIsNoRefusalIsNotRecorded() throws {
        let records = try self.records()
        for (tool, input, text) in [
            ("read", ["file_path": "missing.txt"], "read: missing.txt: no such file or directory"),
            ("edit", ["file_path": "mine.txt"], "edit: 'permission denied' not found in mine.txt"),
            ("edit", ["file_path": ".git/config"], "edit: old_string not found"), ("bash", ["command": "cat .env"], "permission denied"),
            ("read", [:], "read: file_path is required"), ("read", ["file_path": 7], "permission denied"),
        ] as [(String, JSON, String)] { #expect(records.refusal(of: Self.call(tool, input), saying: text) == nil, "\(tool) \(text)") }
    }

    @Test func aLongPathIsCut() throws {
        let path = String(repeating: "x/", count: 5000) + ".env"
        let refusal = try records().refusal(of: Self.call("read", ["file_path": .string(path)]), saying: "permission denied")
        #expect(refusal?.path.count == 1024 && refusal?.rule == "files.hidden[0]")
    }
}
