import PosternAudit
import PosternGate
import PosternJSON
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A folder of a test's own, removed at the end.
private final class Folder: Sendable {
    let path: String
    init() {
        var template = Array("/tmp/postern-gate-XXXXXX".utf8CString)
        path = mkdtemp(&template) == nil ? "/tmp" : String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit {
        for name in ["audit.jsonl", "audit.lock", "audit.reserve", "audit.signing-key", "key", "link", "target"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    func lines() throws -> [JSON] {
        let bytes = try SmallFile.read("\(path)/audit.jsonl") ?? []
        return try bytes.split(separator: 0x0A).map { try JSON(parsing: $0) }.filter { ["intent", "outcome"].contains($0["kind"]?.string) }
    }
    func gate(_ limits: ResultGate.Limits = .init()) throws -> ResultGate {
        let key = try AuditKey.load(path: "\(path)/key")
        return ResultGate(audit: try AuditLog(path: "\(path)/audit.jsonl", key: key), limits: limits, timestamp: { "2026-11-23T00:00:00.000000Z" })
    }
}

private let call = GateCall(sessionID: "sesn_1", workID: "work_1", callID: "sevt_1", tool: "bash")

@Suite struct GateTests {
    @Test func blocksAreNormalised() {
        #expect(ResultBlocks.normalised([]) == [["type": "text", "text": "(no output)"]])
        #expect(ResultBlocks.normalised([["type": "text", "text": ""]]) == [["type": "text", "text": "(no output)"]])
        let image: JSON = ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "AA=="]]
        #expect(ResultBlocks.normalised([image]) == [image])
        #expect(ResultBlocks.normalised([["type": "audio", "x": 1]]) == [["type": "text", "text": #"{"type":"audio","x":1}"#]])
        #expect(ResultBlocks.normalised(["bare"]) == [["type": "text", "text": #""bare""#]])
        #expect(ResultBlocks.normalised([["type": "text", "text": 3]]) == [["type": "text", "text": #"{"type":"text","text":3}"#]])
    }

    @Test func aResultBecomesTheContractsEvent() async throws {
        let folder = Folder()
        let passed = try await folder.gate().pass(OutgoingResult(content: [["type": "text", "text": "hi"]], isError: false), of: call)
        #expect(
            String(decoding: passed.body, as: UTF8.self)
                == #"{"events":[{"type":"user.tool_result","tool_use_id":"sevt_1","is_error":false,"content":[{"type":"text","text":"hi"}]}]}"#)
        var custom = call
        custom.kind = .customTool
        let other = try await folder.gate().pass(.failure("", reason: "test"), of: custom)
        #expect(
            String(decoding: other.event, as: UTF8.self)
                == #"{"type":"user.custom_tool_result","custom_tool_use_id":"sevt_1","is_error":true,"content":[{"type":"text","text":"(no output)"}]}"#
        )
    }

    @Test func whatIsTooLargeDoesNotLeave() async throws {
        let folder = Folder()
        var limits = ResultGate.Limits()
        limits.maximumEventBytes = 300
        let gate = try folder.gate(limits)
        let passed = try await gate.pass(
            OutgoingResult(content: [["type": "text", "text": .string(String(repeating: "s", count: 500))]], isError: false), of: call)
        let text = String(decoding: passed.event, as: UTF8.self)
        #expect(text.contains("larger than the 300 bytes") && !text.contains("ssss") && text.contains(#""is_error":true"#))
        #expect(try folder.lines().last?["body"]?["reason"] == "result too large")
    }

    @Test func aSessionsBudgetHolds() async throws {
        let folder = Folder()
        var limits = ResultGate.Limits()
        limits.sessionBudget = 250
        let gate = try folder.gate(limits)
        let result = OutgoingResult(content: [["type": "text", "text": .string(String(repeating: "s", count: 80))]], isError: false)
        #expect(!String(decoding: try await gate.pass(result, of: call).event, as: UTF8.self).contains("used up"))
        #expect(String(decoding: try await gate.pass(result, of: call).event, as: UTF8.self).contains("used up"))
        var other = call
        other.sessionID = "sesn_2"
        #expect(!String(decoding: try await gate.pass(result, of: other).event, as: UTF8.self).contains("used up"))
        #expect(gate.forget(session: "sesn_1") > 0 && gate.bytesPassed(session: "sesn_1") == 0)
    }

    @Test func recordsAreCanonicalKeyedAndComplete() async throws {
        let folder = Folder()
        let gate = try folder.gate()
        try await gate.intend(call, input: ["command": "cat secret", "a": 1])
        _ = try await gate.pass(
            OutgoingResult(
                content: [["type": "text", "text": "the secret"]], isError: true, producedBytes: 10, offloadedTo: "/mnt/x", exitCode: 3,
                duration: .milliseconds(12), timedOut: false), of: call)
        let bytes = try SmallFile.read("\(folder.path)/audit.jsonl") ?? []
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("secret"))
        let lines = try folder.lines()
        #expect(lines.count == 2)
        #expect(try text.split(separator: "\n").allSatisfy { try JSON(parsing: $0.utf8).canonical == Array($0.utf8) })
        let key = try AuditKey.load(path: "\(folder.path)/key")
        #expect(lines[0]["kind"] == "intent" && lines[0]["v"] == 2)
        #expect(lines[0]["body"]?["input"]?["hmac_sha256"]?.string == key.digest(.input, of: ["a": 1, "command": "cat secret"]))
        #expect(lines[1]["body"]?["output"]?["hmac_sha256"]?.string == key.digest(.output, of: [["type": "text", "text": "the secret"]]))
        let body = lines[1]["body"]
        #expect(body?["exit_code"] == 3 && body?["offloaded"] == true && body?["duration_ms"] == 12 && body?["is_error"] == true)
        #expect(key.digest(.input, of: 1) != key.digest(.output, of: 1))
        #expect(AuditKey(bytes: [UInt8](repeating: 7, count: 32)).digest(.input, of: 1) != key.digest(.input, of: 1))
    }

    @Test func filesAreThisUsersAlone() async throws {
        let folder = Folder()
        try await folder.gate().intend(call, input: [:])
        for name in ["audit.jsonl", "key"] {
            var status = stat()
            #expect(stat("\(folder.path)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
        symlink("\(folder.path)/target", "\(folder.path)/link")
        #expect(throws: FileError.self) { try AppendOnlyFile(path: "\(folder.path)/link") }
    }

    @Test func manyWritersLoseNothing() async throws {
        let folder = Folder()
        let gate = try folder.gate()
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<200 {
                group.addTask {
                    var call = call
                    call.callID = "sevt_\(index)"
                    try? await gate.intend(call, input: [:])
                }
            }
        }
        #expect(Set(try folder.lines().compactMap { $0["call"]?.string }).count == 200)
    }

    @Test func nothingRunsThatCannotBeRecorded() async throws {
        let key = AuditKey(bytes: [UInt8](repeating: 1, count: 32))
        let folder = Folder()
        let audit = try AuditLog(path: "\(folder.path)/audit.jsonl", key: key)
        await audit.finish()
        let gate = ResultGate(audit: audit, timestamp: { "" })
        await #expect(throws: FileError.self) { try await gate.intend(call, input: [:]) }
        await #expect(throws: FileError.self) { _ = try await gate.pass(.failure("x", reason: "x"), of: call) }
    }
}
