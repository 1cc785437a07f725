import PosternAudit
import PosternJSON
import Synchronization
import Testing

@Suite struct ReaderTests {
    private static func settings() -> AuditSettings {
        var settings = AuditSettings()
        settings.maximumFileBytes = 6000
        return settings
    }

    @Test func aLogIsReadFromItsFolderAcrossFiles() async throws {
        let folder = try RealFolder()
        let fixture = LogFixture()
        let log = try AuditLog(path: folder.path + "/audit.jsonl", key: LogFixture.key, settings: Self.settings())
        for call in 0..<60 { try await log.append(fixture.intent("sevt_\(call)"), durable: true) }
        // The writer goes on; what is there is good.
        var seen = 0
        let report = try AuditLogReader(folder.path).verify { _, _ in seen += 1 }
        #expect(report.isGood && report.files >= 4 && report.kinds["intent"] == 60 && seen == report.records && report.open == 60)
        let last = try AuditLogReader(folder.path).last(25) { $0.kind == "intent" }
        #expect(last.map(\.line.call) == (35..<60).map { "sevt_\($0)" })
        await log.finish()
        #expect(throws: FileError.self) { try AuditLogReader(folder.path + "/other.jsonl") }
    }

    @Test(.timeLimit(.minutes(1))) func aTailMissesNothingAcrossRotations() async throws {
        let folder = try RealFolder()
        let fixture = LogFixture()
        let path = folder.path + "/audit.jsonl"
        let log = try AuditLog(path: path, key: LogFixture.key, settings: Self.settings())
        let (stream, feed) = AsyncStream.makeStream(of: AuditLine.self)
        let tail = Task {
            var tail = AuditTail(path: path, after: 0)
            try await tail.run { line, _ in feed.yield(line) }
        }
        let writing = Task {
            for call in 0..<200 { try await log.append(fixture.intent("sevt_\(call)"), durable: call % 10 == 0) }
        }
        var seqs: [Int] = []
        var calls = 0
        for await line in stream {
            seqs.append(line.seq)
            if line.kind == "intent" { calls += 1 }
            if calls == 200 { break }
        }
        try await writing.value
        tail.cancel()
        try await tail.value
        #expect(seqs == Array(1...seqs.count))
        #expect(try AuditLogReader(path).closed.count >= 8)
        await log.finish()
    }
}
