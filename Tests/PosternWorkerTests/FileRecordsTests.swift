import Glibc
import PosternAudit
import PosternJSON
import PosternPolicy
import PosternSandbox
import PosternSandboxWire
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
        for (tool, path, refusal, rule) in [
            ("read", "a/.env", .kernel, "files.hidden[0]"), ("read", "/workspace/./b/../.env", .kernel, "files.hidden[0]"),
            ("write", ".git/config", .kernel, "files.protected[0]"), ("edit", ".git/hooks/x", .kernel, "files.protected[0]"),
            // By a link, by the file's own rights.
            ("read", "link", .kernel, "kernel"), ("read", ".git/config", .kernel, "kernel"),
            ("read", "/etc/shadow", .toolRoots, "tool_roots"), ("write", "../../etc/passwd", .toolRoots, "tool_roots"),
        ] as [(String, String, FileRefusal, String)] {
            let decision = records.decision(behind: refusal, of: Self.call(tool, ["file_path": .string(path)]))
            #expect(decision?.rule == rule && decision?.path == path && decision?.isAllowed == false, "\(tool) \(path)")
            #expect(decision?.operation == (tool == "read" ? "read" : "write"))
        }
    }

    @Test func callsWithoutAPathAreNotRecorded() throws {
        let records = try self.records()
        for (tool, input) in [("bash", ["command": "cat .env"]), ("read", [:]), ("read", ["file_path": 7])] as [(String, JSON)] {
            #expect(records.decision(behind: .kernel, of: Self.call(tool, input)) == nil, "\(tool)")
        }
    }

    @Test func onlyErrorsThatRefuseArePermissions() {
        for code in [EACCES, EPERM, EROFS] { #expect(FileRefusal(errno: code) == .kernel) }
        for code in [ENOENT, ENOTDIR, EISDIR, EEXIST, ELOOP, EIO, ENOSPC, 0] { #expect(FileRefusal(errno: code) == nil) }
    }

    @Test func aLongPathIsCut() throws {
        let path = String(repeating: "x/", count: 5000) + ".env"
        let decision = try records().decision(behind: .kernel, of: Self.call("read", ["file_path": .string(path)]))
        #expect(decision?.path.count == 1024 && decision?.rule == "files.hidden[0]")
    }
}
