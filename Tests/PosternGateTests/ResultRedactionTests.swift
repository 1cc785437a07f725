import PosternAudit
import PosternGate
import PosternJSON
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Redaction as results meet it.
@Suite struct ResultRedactionTests {
    private let call = GateCall(sessionID: "sesn_1", workID: "work_1", callID: "sevt_1", tool: "bash")
    private let token = "ghp_" + String(repeating: "aB3", count: 12)

    private func withGate(_ rules: RedactionRules = .standard, _ body: (ResultGate, () throws -> String) async throws -> Void) async throws {
        var template = Array("/tmp/postern-redaction-XXXXXX".utf8CString)
        let made = mkdtemp(&template) != nil
        try #require(made)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { removeFolder(folder) }
        let audit = try AuditLog(path: "\(folder)/audit.jsonl", key: AuditKey(bytes: [UInt8](repeating: 3, count: 32)))
        let gate = ResultGate(audit: audit, redaction: rules, timestamp: { "2026-11-26T00:00:00.000000Z" })
        try await body(gate) { String(decoding: try SmallFile.read("\(folder)/audit.jsonl") ?? [], as: UTF8.self) }
        await audit.finish()
    }

    private func removeFolder(_ path: String) {
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            if name == "." || name == ".." { continue }
            if unlink("\(path)/\(name)") != 0 { removeFolder("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    private func text(_ value: String) -> OutgoingResult { OutgoingResult(content: [["type": "text", "text": .string(value)]], isError: false) }

    @Test func aTokenIsMaskedCountedAndNowhereInClear() async throws {
        try await withGate { gate, log in
            let event = try await gate.pass(text("token: \(token)\nend"), of: call).event
            #expect(String(decoding: event, as: UTF8.self).contains(#"token: [redacted: github-token]\nend"#))
            let written = try log()
            #expect(written.contains(#""github-token":1"#) && written.contains(#""door":"result""#) && !written.contains(token))
        }
    }

    @Test func nestedStringsKeysAndUnknownBlocksAreRead() async throws {
        try await withGate { gate, _ in
            let blocks: [JSON] = [
                ["type": "search_result", "title": .string(token), "content": [["type": "text", "text": .string("a \(token)")]]],
                ["type": "document", "source": ["type": "text", "media_type": "text/plain", "data": .string(token)], "context": .string(token)],
                ["type": "audio", "meta": .object([token: .string(#"{"inner":"\#(token)"}"#)])],
            ]
            let event = String(decoding: try await gate.pass(OutgoingResult(content: blocks, isError: false), of: call).event, as: UTF8.self)
            #expect(!event.contains(token))
            #expect(event.components(of: "[redacted: github-token]") == 6)
        }
    }

    @Test func anImageIsCountedAndLeftAlone() async throws {
        try await withGate { gate, _ in
            let data = String(repeating: "AKIA" + "IOSFODNN7EXAMPLE ", count: 40)
            let image: JSON = ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": .string(data)]]
            let event = try await gate.pass(OutgoingResult(content: [image], isError: false), of: call).event
            #expect(String(decoding: event, as: UTF8.self).contains(data) && gate.bytesPassed(session: "sesn_1") >= data.utf8.count)
        }
    }

    @Test func aSessionsSecretsAreMaskedEvenWithoutRules() async throws {
        try await withGate(.none) { gate, _ in
            let value = Array("hunter2-hunter2".utf8)
            try gate.prepare(session: "sesn_1", limits: .init(), redaction: .none, secrets: [.init(name: "DB", value: value)])
            let event = try await gate.pass(text("pw=hunter2-hunter2 \(token)"), of: call).event
            #expect(String(decoding: event, as: UTF8.self).contains("pw=[redacted: secret DB] \(token)"))
            var other = call
            other.sessionID = "sesn_2"
            #expect(String(decoding: try await gate.pass(text("hunter2-hunter2"), of: other).event, as: UTF8.self).contains("hunter2-hunter2"))
        }
    }

    @Test func blockKeepsTheWholeResultInside() async throws {
        try await withGate(.init(patterns: [.init(name: "codename", pattern: "(?i)falcon", action: .block)])) { gate, log in
            let event = String(decoding: try await gate.pass(text("harmless words about FALCON"), of: call).event, as: UTF8.self)
            #expect(event.contains("[blocked: codename]") && event.contains(#""is_error":true"#) && !event.contains("harmless"))
            #expect(try log().contains(#""action":"block""#))
        }
    }

    @Test func rulesThatCannotBeUsedLetNothingPass() async throws {
        try await withGate(.init(patterns: [.init(name: "bad", pattern: "a(")])) { gate, _ in
            #expect(throws: RedactionError.self) { try gate.check() }
            let event = String(decoding: try await gate.pass(text("plain words"), of: call).event, as: UTF8.self)
            #expect(event.contains("could not be checked") && !event.contains("plain words"))
        }
        try await withGate { gate, _ in
            #expect(throws: RedactionError.self) {
                try gate.prepare(session: "sesn_1", limits: .init(), redaction: .standard, secrets: [.init(name: "X", value: [1, 2])])
            }
            let event = String(decoding: try await gate.pass(text("plain words"), of: call).event, as: UTF8.self)
            #expect(!event.contains("plain words"))
        }
    }

    @Test func aCardNumberWrittenAsANumberIsFound() async throws {
        try await withGate { gate, _ in
            let document: JSON = [
                "type": "document", "source": ["type": "text", "media_type": "text/plain", "data": "x"], "pan": 4_111_111_111_111_111,
            ]
            let event = String(decoding: try await gate.pass(OutgoingResult(content: [document], isError: false), of: call).event, as: UTF8.self)
            #expect(event.contains(#""pan":"[redacted: card-number]""#))
        }
    }

    /// The day's bound holds across sessions.
    @Test func aDaysBudgetHolds() async throws {
        try await withGate { gate, log in
            var limits = ResultGate.Limits()
            limits.dayBudget = 300
            for id in ["sesn_1", "sesn_2"] { try gate.prepare(session: id, limits: limits, redaction: .none, secrets: []) }
            let result = text(String(repeating: "s", count: 100))
            #expect(String(decoding: try await gate.pass(result, of: call).event, as: UTF8.self).contains("sss"))
            var other = call
            other.sessionID = "sesn_2"
            let event = String(decoding: try await gate.pass(result, of: other).event, as: UTF8.self)
            #expect(event.contains("today are used up") && !event.contains("sss"))
            #expect(try log().contains(#""scope":"day""#))
        }
    }
}

extension String {
    fileprivate func components(of part: String) -> Int {
        var (count, rest) = (0, self[...])
        while let index = rest.indices.first(where: { rest[$0...].hasPrefix(part) }) {
            count += 1
            rest = rest[rest.index(index, offsetBy: part.count)...]
        }
        return count
    }
}
